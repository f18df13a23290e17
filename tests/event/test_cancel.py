"""Calling an event off through the API, and what it means for the lists of events."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from event.models import MAX_REASON_LENGTH, Event
from reservation.models import Reservation
from tests.conftest import LONG, SHORT
from tests.ledger import assert_balanced, begin, book, finish, line, wait

REASON = "The harbour is closed.\nSee you in autumn."


@pytest.fixture
def cancel(as_user, alice, event):
    """Call the event off as its organizer. Returns the response."""
    return lambda body=None, **headers: as_user(alice).post(LONG.cancel(event), body, headers=headers)


def test_organizer_calls_the_event_off(cancel, api, routes, event, reservation):
    before = timezone.now()

    response = cancel({"reason": REASON})

    assert response.status_code == 200
    called_off = Event.objects.get()
    assert before < called_off.cancelled_at < timezone.now()
    shown = {
        "cancelled_at": called_off.cancelled_at.isoformat().replace("+00:00", "Z"),
        "cancellation_reason": REASON,
    }
    assert response.json() == api.get(routes.event(event)).json()
    assert response.json().items() > shown.items()
    assert response["ETag"] == api.get(routes.event(event))["ETag"]
    assert list(Reservation.objects.all()) == [reservation]
    assert_balanced()


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "   "}, {"cancellation_reason": "x"}])
def test_reason_is_optional(cancel, body):
    response = cancel(body)

    assert response.status_code == 200
    assert response.json()["cancelled_at"]
    assert response.json()["cancellation_reason"] == ""


def test_request_without_body_is_enough(as_user, alice, routes, event):
    response = as_user(alice).generic("POST", routes.cancel(event), content_type="")

    assert response.status_code == 200


def test_form_is_read_too(as_user, alice, routes, event):
    response = as_user(alice).post(routes.cancel(event), {"reason": REASON}, format="multipart")

    assert response.json()["cancellation_reason"] == REASON


def test_calling_off_again_changes_nothing(cancel):
    first = cancel({"reason": REASON})

    again = cancel({"reason": "Another one"})

    assert again.status_code == 200
    assert again.json() == first.json()
    assert again["ETag"] == first["ETag"]


@pytest.mark.parametrize("passed", [begin, finish])
def test_event_that_has_started_can_be_called_off(cancel, event, passed):
    passed(event)

    assert cancel().json()["cancelled_at"]


@pytest.mark.parametrize(
    "reason",
    [
        "x" * (MAX_REASON_LENGTH + 1),
        "x" * 100_000,
        "a\0b",
        "\x1b[31m",
        "e" + "\u0301" * 31,
        None,
        [],
        {},
        True,
    ],
    ids=["long", "huge", "NUL", "escape", "marks", "null", "list", "object", "boolean"],
)
def test_bad_reason_is_refused(cancel, reason):
    response = cancel({"reason": reason})

    assert response.status_code == 400
    assert response.json().keys() == {"reason"}
    assert not Event.objects.called_off().exists()


@pytest.mark.parametrize("body", [[], "text", 7, [{"reason": "x"}]])
def test_body_that_is_no_object_is_refused(cancel, body):
    response = cancel(body)

    assert response.status_code == 400
    assert not Event.objects.called_off().exists()


def test_lone_surrogate_is_refused(as_user, alice, routes, event):
    response = as_user(alice).generic("POST", routes.cancel(event), r'{"reason": "\ud800"}', "application/json")

    assert response.status_code == 400
    assert response.json().keys() == {"reason"}


def test_reason_may_be_as_long_as_the_limit(cancel):
    assert len(cancel({"reason": "ü" * MAX_REASON_LENGTH}).json()["cancellation_reason"]) == MAX_REASON_LENGTH


def test_reason_is_normalized(cancel, event):
    assert cancel({"reason": " U\u0308bel\r\nund weh "}).json()["cancellation_reason"] == "Übel\nund weh"


def test_reason_is_normalized_in_a_shell_too(event):
    event.cancel("U\u0308bel\r\n")

    assert event.cancellation_reason == "Übel\n"


@pytest.mark.parametrize("reason", ["x" * (MAX_REASON_LENGTH + 1), "\0"])
def test_bad_reason_is_refused_in_a_shell_too(event, reason):
    with pytest.raises(ValidationError):
        event.cancel(reason)

    assert not Event.objects.called_off().exists()


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "options"])
@pytest.mark.parametrize("names", [LONG, SHORT], ids=["long", "short"])
def test_other_methods_are_405(as_user, alice, event, method, names):
    response = getattr(as_user(alice), method)(names.cancel(event))

    assert response.status_code == 405
    assert response["Allow"] == "POST"


def test_unknown_event_is_404(as_user, alice, routes):
    assert as_user(alice).post(routes.cancel(7)).status_code == 404
    assert as_user(alice).post(routes.cancel(10**30)).status_code == 404


def test_deleted_meanwhile_is_404(as_user, alice, routes, event, monkeypatch):
    lock = Event.lock

    def too_late(event):
        Event.objects.filter(pk=event.pk).delete()
        lock(event)

    monkeypatch.setattr(Event, "lock", too_late)

    assert as_user(alice).post(routes.cancel(event)).status_code == 404


def test_stale_version_is_412(cancel, api, routes, event, bob):
    tag = api.get(routes.event(event))["ETag"]
    book(event, bob)

    response = cancel({"reason": []}, **{"if-match": tag})

    assert response.status_code == 412
    assert not Event.objects.called_off().exists()
    assert cancel(**{"if-match": api.get(routes.event(event))["ETag"]}).status_code == 200


def test_stale_version_of_somebody_elses_event_is_403(as_user, bob, routes, event):
    response = as_user(bob).post(routes.cancel(event), headers={"if-match": '"old"'})

    assert response.status_code == 403


@pytest.fixture
def called_off(alice, event_of):
    event = event_of(alice, title="Called off")
    event.cancel()
    return event


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", ["Concert", "Called off"]),
        ("cancelled=true", ["Called off"]),
        ("cancelled=false", ["Concert"]),
        ("cancelled=", ["Concert", "Called off"]),
        ("available=true", ["Concert"]),
        ("available=false", ["Called off"]),
        ("upcoming=true&cancelled=true", ["Called off"]),
    ],
)
def test_list_is_filtered(api, routes, event, called_off, query, titles):
    events = api.get(f"{routes.events}?{query}").json()["results"]

    assert [each["title"] for each in events] == titles


def test_bad_filter_is_refused(api, routes):
    response = api.get(routes.events, {"cancelled": "maybe"})

    assert response.status_code == 400
    assert response.json().keys() == {"cancelled"}


def test_called_off_event_can_be_edited_but_stays_called_off(as_user, alice, routes, called_off):
    changes = {"title": "Still off", "cancelled_at": None, "cancellation_reason": "none"}

    response = as_user(alice).patch(routes.event(called_off), changes)

    assert response.status_code == 200
    assert response.json()["title"] == "Still off"
    assert response.json()["cancelled_at"]
    assert response.json()["cancellation_reason"] == ""


def test_called_off_event_can_be_deleted(as_user, alice, routes, called_off):
    assert as_user(alice).delete(routes.event(called_off)).status_code == 204


def test_waiting_list_is_removed(as_user, alice, bob, carol, routes, event_of):
    others = event_of(alice, capacity=1)
    full = event_of(alice, capacity=1)
    for each in (others, full):
        book(each, bob)
        wait(each, carol)

    response = as_user(alice).post(routes.cancel(full))

    assert response.json()["waiting"] == 0
    assert line(full) == []
    assert line(others) == ["carol"]
    assert_balanced()


def test_many_are_called_off_at_once(alice, bob, carol, event_of):
    events = [event_of(alice, capacity=1) for _ in range(4)]
    for each in events:
        book(each, bob)
        wait(each, carol)
    events[1].cancel("first")

    called_off = Event.objects.cancel([each.pk for each in reversed(events[:3])], "all")

    assert called_off == [events[0].pk, events[2].pk]
    reasons = Event.objects.order_by("pk").values_list("cancellation_reason", flat=True)
    assert list(reasons) == ["all", "first", "all", ""]
    assert line(events[3]) == ["carol"]
    assert_balanced()


def test_journal_tells_once_that_an_event_was_called_off(event, caplog, django_capture_on_commit_callbacks):
    caplog.set_level("INFO", "event.seats")
    with django_capture_on_commit_callbacks(execute=True):
        event.cancel()
        event.cancel()

    [record] = caplog.records
    assert (record.movement, record.event, record.seats_left) == ("called_off", event.pk, 10)


def test_stale_instance_does_not_undo_it(event):
    stale = Event.objects.get()
    event.cancel("for good")
    stale.title = "Later"

    stale.save()

    event.refresh_from_db()
    assert (event.title, event.cancellation_reason) == ("Later", "for good")
    assert event.is_cancelled


NOW = timezone.now()


@pytest.mark.parametrize(
    "write",
    [
        lambda event: Event.objects.update(cancelled_at=None),
        lambda event: Event.objects.update(cancellation_reason=""),
        lambda event: Event.objects.filter(pk=event.pk).update(title="x", cancelled_at=NOW),
        lambda event: Event.objects.update(capacity=3, cancelled_at=None),
        lambda event: Event.objects.bulk_update([event], ["cancelled_at"]),
        lambda event: event.save(update_fields=["cancelled_at"]),
        lambda event: event.save(update_fields=["title", "cancellation_reason"]),
        lambda event: Event.objects.update_or_create(pk=event.pk, defaults={"cancelled_at": None}),
    ],
)
def test_call_off_cannot_be_set_or_undone(event, write):
    event.cancel("for good")
    before = Event.objects.values().get()

    with pytest.raises(TypeError, match=r"^An event is called off with cancel\(\)"), transaction.atomic():
        write(event)

    assert Event.objects.values().get() == before


@pytest.mark.parametrize("field", [{"cancelled_at": NOW}, {"cancellation_reason": "x"}])
@pytest.mark.parametrize(
    "create", [lambda new: new.save(), lambda new: Event.objects.bulk_create([new])], ids=["save", "bulk_create"]
)
def test_new_event_cannot_be_called_off(alice, field, create):
    times = {"start_time": NOW + timedelta(days=1), "end_time": NOW + timedelta(days=2)}

    with pytest.raises(TypeError, match="called off"):
        create(Event(title="New", capacity=1, organizer=alice, **times, **field))

    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "save", [lambda copy: copy.save(), lambda copy: Event.objects.bulk_create([copy])], ids=["save", "bulk_create"]
)
def test_copy_is_not_called_off(called_off, save):
    copy = Event.objects.get()
    copy.pk = None

    save(copy)

    assert Event.objects.not_called_off().count() == 1
    assert not copy.is_cancelled


def test_deleted_event_cannot_be_called_off(event):
    gone = Event.objects.get()
    event.delete()

    with pytest.raises(Event.DoesNotExist):
        gone.cancel()
