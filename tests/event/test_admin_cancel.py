"""Calling events off in the admin."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import OperationalError
from django.urls import reverse

from event import admin
from event.models import MAX_REASON_LENGTH, Event, EventManager
from eventmanagement.serving.admin import MAX_LISTED, TOO_BUSY
from eventmanagement.serving.middleware import MAX_FORM_SIZE
from tests.admin import form_of, staff
from tests.ledger import assert_balanced, book, holders, line, wait

LIST = "/admin/event/event/"
REASON = "The hall is closed."


def page(event):
    return reverse("admin:event_event_change", args=[event.pk])


def call_off_page(event):
    return f"{LIST}{event.pk}/call-off/"


def call_off(client, events, **fields):
    choice = {"action": "call_off", "_selected_action": [getattr(each, "pk", each) for each in events]}
    return client.post(LIST, choice | fields, follow=True)


def confirmed(client, events, reason=REASON):
    return call_off(client, events, post="yes", reason=reason)


def test_page_asks_for_the_reason_and_changes_nothing(boss, event, bob):
    book(event, bob)

    response = call_off(boss, [event])

    assert "<textarea" in response.text
    assert "(booked: 1)" in response.text
    assert not Event.objects.called_off().exists()


def test_page_says_how_many_people_wait(boss, alice, bob, carol, event_of):
    events = [event_of(alice, capacity=1) for _ in range(2)]
    book(events[0], bob)
    wait(events[0], carol)

    one, two = call_off(boss, events[:1]).text, call_off(boss, events).text

    assert "(booked: 1, waiting: 1)" in one
    assert "and the waiting list is deleted." in one
    assert "and the waiting lists are deleted." in two


def test_several_are_called_off_and_logged(boss, alice, bob, carol, event_of):
    events = [event_of(alice, capacity=1) for _ in range(3)]
    for event in events:
        book(event, bob)
        wait(event, carol)

    response = confirmed(boss, events[:2])

    assert "Called off 2 events." in response.text
    reasons = Event.objects.order_by("pk").values_list("cancellation_reason", flat=True)
    assert list(reasons) == [REASON, REASON, ""]
    assert [line(event) for event in events] == [[], [], ["carol"]]
    assert holders(events[0]) == ["bob"]
    entries = LogEntry.objects.order_by("object_id").values_list("object_id", "action_flag", "change_message")
    assert list(entries) == [(str(event.pk), CHANGE, "Called off.") for event in events[:2]]
    assert_balanced()


def test_one_is_called_off_from_its_page(boss, event):
    assert call_off_page(event) in boss.get(page(event)).text
    assert "<textarea" in boss.get(call_off_page(event)).text

    response = boss.post(call_off_page(event), {"post": "yes", "reason": REASON})

    assert response.status_code == 302
    assert response["Location"] == page(event)
    event.refresh_from_db()
    assert event.cancellation_reason == REASON


def test_opening_the_page_with_a_form_that_is_not_confirmed_changes_nothing(boss, event):
    boss.post(call_off_page(event), {"reason": REASON})

    assert not Event.objects.called_off().exists()


@pytest.mark.parametrize("reason", ["x" * (MAX_REASON_LENGTH + 1), "a\x1bb", "a\0b", "e" + "\u0301" * 31])
def test_bad_reason_is_an_error_of_the_form(boss, event, reason):
    for response in (
        confirmed(boss, [event], reason),
        boss.post(call_off_page(event), {"post": "yes", "reason": reason}),
    ):
        assert response.status_code == 200
        assert response.context["form"].errors.keys() == {"reason"}
    assert not Event.objects.called_off().exists()


def test_line_breaks_of_browsers_count_once(boss, event):
    reason = ("x" * 19 + "\r\n") * 100

    confirmed(boss, [event], reason)

    assert len(Event.objects.get().cancellation_reason) == MAX_REASON_LENGTH - 1


def test_event_that_was_called_off_keeps_its_reason(boss, event, alice, event_of):
    event.cancel("first")
    other = event_of(alice)

    response = confirmed(boss, [event, other], "second")

    assert "Called off 1 event." in response.text
    reasons = Event.objects.order_by("pk").values_list("cancellation_reason", flat=True)
    assert list(reasons) == ["first", "second"]
    assert LogEntry.objects.count() == 1


def test_nothing_is_left_to_call_off(boss, event):
    event.cancel()

    assert "Nothing has been changed: already called off." in confirmed(boss, [event]).text
    assert boss.get(call_off_page(event))["Location"] == page(event)


def test_event_that_is_called_off_by_somebody_else_meanwhile(boss, event, monkeypatch):
    cancel = EventManager.cancel

    def too_late(manager, event_ids, reason):
        cancel(manager, event_ids, "faster")
        return cancel(manager, event_ids, reason)

    monkeypatch.setattr(EventManager, "cancel", too_late)

    response = confirmed(boss, [event])

    assert "Called off 0 events." in response.text
    assert Event.objects.get().cancellation_reason == "faster"
    assert not LogEntry.objects.exists()


def test_too_many_are_not_called_off(boss, alice, event_of, monkeypatch):
    monkeypatch.setattr(admin, "MAX_SELECTED", 2)
    events = [event_of(alice) for _ in range(3)]

    response = confirmed(boss, events)

    assert "You selected 3 events. At most 2 can be called off at once" in response.text
    assert response.text.count('name="_selected_action"') == 2
    assert not Event.objects.called_off().exists()


def test_page_lists_a_part_and_stays_below_the_size_of_a_form(boss, alice, event_of):
    event = event_of(alice)
    times = {"start_time": event.start_time, "end_time": event.end_time, "organizer": alice, "capacity": 1}
    Event.objects.bulk_create(Event(title=f"Concert {number}", **times) for number in range(1999))

    response = call_off(boss, [event], select_across=1, index=0)

    assert response.text.count("(booked: 0)") == MAX_LISTED
    assert "and 1900 more" in response.text
    hidden = "&".join(f"_selected_action={10**9 + number}" for number in range(2000))
    assert len(hidden) + MAX_REASON_LENGTH * len("%F0%9F%8E%89") < MAX_FORM_SIZE


def test_number_of_statements_does_not_grow_with_the_events(boss, alice, event_of, django_assert_max_num_queries):
    with django_assert_max_num_queries(100) as few:
        confirmed(boss, [event_of(alice) for _ in range(2)])
    events = [event_of(alice) for _ in range(20)]

    with django_assert_max_num_queries(len(few)):
        confirmed(boss, events)


def test_busy_database_changes_nothing(boss, event, monkeypatch):
    def fail(manager, event_ids, reason):
        Event.objects.filter(pk__in=event_ids).update(title="half done")
        error = OperationalError("lock timeout")
        error.__cause__ = Exception()
        error.__cause__.sqlstate = "55P03"
        raise error

    monkeypatch.setattr(EventManager, "cancel", fail)

    response = confirmed(boss, [event])

    assert TOO_BUSY in response.text
    assert Event.objects.get().title == "Concert"


def test_viewers_cannot_call_off(event):
    viewer = staff("viewer", "view_event")

    confirmed(viewer, [event])

    assert "call_off" not in viewer.get(LIST).text
    assert "call-off" not in viewer.get(page(event)).text
    assert viewer.get(call_off_page(event)).status_code == 403
    assert viewer.post(call_off_page(event), {"post": "yes"}).status_code == 403
    assert not Event.objects.called_off().exists()


def test_editors_can_call_off(event):
    editor = staff("editor", "view_event", "change_event")

    editor.post(call_off_page(event), {"post": "yes"})

    assert Event.objects.called_off().exists()


def test_visitors_are_sent_to_the_login(client, event):
    assert client.post(call_off_page(event), {"post": "yes"})["Location"].startswith("/admin/login/")


def test_unknown_event_is_404(boss):
    assert boss.get(f"{LIST}7/call-off/").status_code == 404
    assert boss.get(f"{LIST}{10**30}/call-off/").status_code == 404


@pytest.fixture
def called_off(alice, event_of):
    called_off = event_of(alice, title="Opera")
    called_off.cancel(REASON)
    return called_off


def test_pages_mark_it_clearly(boss, event, called_off):
    mark = '<strong class="called-off">called off</strong>'

    assert boss.get(LIST).text.count(mark) == 1
    assert boss.get("/admin/").text.count(mark) == 1
    assert boss.get(page(called_off)).text.count(mark) == 1
    assert boss.get(page(event)).text.count(mark) == 0


def test_its_page_shows_time_and_reason_and_no_button(boss, event, called_off):
    text = boss.get(page(called_off)).text

    assert REASON in text
    assert "field-cancelled_at" in text
    assert call_off_page(called_off) not in text
    assert "field-cancelled_at" not in boss.get(page(event)).text


def test_first_page_counts_it_separately(boss, event, called_off, bob):
    book(event, bob)

    text = boss.get("/admin/").text

    assert "1 of 10 seats booked, in 1 event that has not started. 1 more was called off." in text


@pytest.mark.parametrize(
    ("query", "titles"),
    [("", ["Concert", "Opera"]), ("cancelled=true", ["Opera"]), ("cancelled=false", ["Concert"])],
)
def test_list_is_filtered(boss, event, called_off, query, titles):
    response = boss.get(f"{LIST}?{query}")

    assert [each.title for each in response.context["cl"].result_list] == titles


def test_called_off_event_is_edited_and_stays_called_off(boss, called_off):
    boss.post(page(called_off), form_of(called_off, title="Opera (old)", cancellation_reason="x"))

    called_off.refresh_from_db()
    assert called_off.title == "Opera (old)"
    assert called_off.cancellation_reason == REASON


def test_reason_is_escaped(boss, event):
    confirmed(boss, [event], "<script>alert(1)</script>")

    assert "<script>alert(1)" not in boss.get(page(event)).text
