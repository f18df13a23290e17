"""Waiting lists in the admin: who waits, adding and removing users, and who got a freed seat."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from event.admin import event_label
from event.models import Event
from eventmanagement.serving.admin import CHANGED_MEANWHILE
from reservation.admin import MAX_NAMES, MAX_ROWS, EventAdmin
from reservation.models import WaitlistEntry
from tests.admin import delete_selected, errors, form_of, staff
from tests.ledger import assert_balanced, begin, book, finish, holders, line, wait

LIST = "/admin/reservation/waitlistentry/"
ADD = "/admin/reservation/waitlistentry/add/"
PLACE = "reservation_waitlistentry"
GOT_THE_SEAT = "The seat went to carol from the waiting list."
STAYS_FREE = "The seat stays free, because the event takes no more bookings."

# The message about a promotion is shown after the commit.
committing = pytest.mark.django_db(transaction=True)


@pytest.fixture
def full(alice, bob, event_of):
    """Alice's event with one seat, which Bob has."""
    full = event_of(alice, title="Full", capacity=1)
    book(full, bob)
    return full


@pytest.fixture
def place(carol, full):
    """Carol's place on the waiting list, the only one."""
    return wait(full, carol)[0]


def page(kind, row):
    return reverse(f"admin:{kind}_change", args=[row.pk])


def shown(client, query=""):
    """Return the usernames and positions of a list of places."""
    rows = client.get(f"{LIST}?{query}").context["cl"].result_list
    return [(place.user.username, place.position) for place in rows]


def logged(model):
    """Return the entries of the admin history about rows of this model."""
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model)).order_by("pk")
    return list(entries.values_list("action_flag", "change_message"))


def told(response):
    return [str(message) for message in response.context["messages"]]


def cancel(client, reservation):
    url = reverse("admin:reservation_reservation_delete", args=[reservation.pk])
    return client.post(url, {"post": "yes"}, follow=True)


def test_adding_somebody_is_logged(boss, full, carol):
    boss.post(ADD, {"event": full.pk, "user": carol.pk})

    assert line(full) == ["carol"]
    assert logged(WaitlistEntry) == [(ADDITION, '[{"added": {}}]')]
    assert logged(Event) == [(CHANGE, "Added to the waiting list: carol.")]
    assert_balanced()


def test_free_seat_is_an_error_of_the_event(boss, event, carol):
    response = boss.post(ADD, {"event": event.pk, "user": carol.pk})

    assert errors(response) == {
        "event": ["This event has free seats. Book one instead of joining the waiting list."],
    }
    assert not LogEntry.objects.exists()


def test_started_event_is_an_error_of_the_event(boss, full, carol):
    begin(full)

    response = boss.post(ADD, {"event": full.pk, "user": carol.pk})

    assert errors(response).keys() == {"event"}
    assert line(full) == []


def test_reservation_is_an_error_of_the_user(boss, full, bob):
    response = boss.post(ADD, {"event": full.pk, "user": bob.pk})

    assert errors(response) == {"user": ["bob already has a seat at this event."]}


def test_second_place_is_an_error_of_the_user(boss, place, full, carol):
    response = boss.post(ADD, {"event": full.pk, "user": carol.pk})

    assert errors(response) == {"user": ["carol is already on the waiting list of this event."]}
    assert line(full) == ["carol"]


@pytest.mark.parametrize("several", [True, False], ids=["selected", "one"])
def test_removing_somebody_is_logged(boss, full, people, several):
    _, second, _ = wait(full, *people(3))

    if several:
        delete_selected(boss, PLACE, [second])
    else:
        boss.post(reverse(f"admin:{PLACE}_delete", args=[second.pk]), {"post": "yes"})

    assert line(full) == ["person0", "person2"]
    assert logged(WaitlistEntry) == [(DELETION, "Removed.")]
    assert logged(Event) == [(CHANGE, "Removed from the waiting list: person1.")]
    assert_balanced()


def test_pages_say_remove_instead_of_delete(boss, place):
    url = reverse(f"admin:{PLACE}_delete", args=[place.pk])
    selected = {"action": "delete_selected", "index": 0, "_selected_action": place.pk}

    pages = [boss.get(page(PLACE, place)).text, boss.get(url).text, boss.post(LIST, selected).text]
    response = boss.post(url, {"post": "yes"}, follow=True)

    assert re.findall(r">[^<]*[Dd]elet[^<]*<", "".join(pages)) == []
    assert "Remove from the waiting list</a>" in pages[0]
    assert "The people behind move up." in pages[1]
    assert f"carol waits for {event_label(place.event)}" in pages[1]
    assert "Do you want to remove the following place on a waiting list?" in pages[2]
    assert told(response) == ["The place on a waiting list “carol waits for Full” was removed."]
    assert response.redirect_chain == [(LIST, 302)]


def test_bulk_action_is_called_remove(boss, place):
    assert '<option value="delete_selected">Remove selected places on waiting lists</option>' in boss.get(LIST).text


def test_place_is_not_edited(boss, place, alice, full):
    response = boss.post(page(PLACE, place), {"event": full.pk, "user": alice.pk})

    assert response.status_code == 403
    assert line(full) == ["carol"]


def test_page_of_a_place_shows_the_position(boss, full, people):
    *_, last = wait(full, *people(3))

    fields = boss.get(page(PLACE, last)).context["adminform"]

    assert [name for fieldset in fields for name in fieldset.fields] == [
        "event",
        "event_starts",
        "user",
        "position",
        "created_at",
    ]
    assert '<div class="readonly">3</div>' in boss.get(page(PLACE, last)).text


def test_list_shows_positions(boss, alice, bob, full, event_of, people):
    other = event_of(alice, title="Other", capacity=1)
    book(other, bob)
    a, b, c = people(3)
    wait(full, a)
    wait(other, b, a)
    wait(full, c, b)

    assert shown(boss) == [("person0", 1), ("person1", 1), ("person0", 2), ("person2", 2), ("person1", 3)]
    assert shown(boss, f"event__id__exact={full.pk}") == [("person0", 1), ("person2", 2), ("person1", 3)]
    assert shown(boss, f"user__id__exact={a.pk}") == [("person0", 1), ("person0", 2)]
    assert shown(boss, "q=person1") == [("person1", 1), ("person1", 3)]
    assert shown(boss, "q=Other") == [("person1", 1), ("person0", 2)]
    assert shown(boss, "q=nobody") == []


@pytest.mark.parametrize(("when", "users"), [("upcoming", ["carol"]), ("over", ["alice"])])
def test_list_is_filtered_by_the_end_of_the_event(boss, place, alice, bob, event_of, when, users):
    over = event_of(alice, capacity=1)
    book(over, bob)
    wait(over, alice)
    finish(over)

    assert [username for username, _ in shown(boss, f"when={when}")] == users


def test_place_that_is_gone_has_no_position(boss, place, monkeypatch):
    fetch = QuerySet._fetch_all

    def fetch_and_leave(rows):
        fetch(rows)
        if rows.model is WaitlistEntry and rows._result_cache and isinstance(rows._result_cache[0], WaitlistEntry):
            monkeypatch.undo()
            place.leave()

    monkeypatch.setattr(QuerySet, "_fetch_all", fetch_and_leave)

    assert shown(boss) == [("carol", None)]


def test_list_takes_as_many_queries_for_many_places_as_for_one(
    boss, place, full, people, django_assert_max_num_queries
):
    with django_assert_max_num_queries(100) as few:
        boss.get(LIST)
    wait(full, *people(8))

    with django_assert_max_num_queries(len(few)):
        boss.get(LIST)


def test_page_of_an_event_lists_the_first_in_line_and_links_to_all(boss, full, people):
    places = wait(full, *people(MAX_ROWS + 1))

    text = boss.get(page("event_event", full)).text

    assert [f'<a href="{page(PLACE, place)}">' in text for place in places] == [True] * MAX_ROWS + [False]
    assert text.index(">person0</a>") < text.index(">person1</a>")
    assert f'<a href="{LIST}?event__id__exact={full.pk}">All {MAX_ROWS + 1} people</a>' in text
    assert f'<a href="{ADD}?event={full.pk}">Add a user to the waiting list</a>' in text


def test_page_of_an_event_with_free_seats_has_no_waiting_list(boss, event):
    assert "Add a user to the waiting list" not in boss.get(page("event_event", event)).text


def test_number_of_waiting_people_is_on_the_list_and_the_page_of_an_event(boss, full, people):
    wait(full, *people(7))

    assert '<td class="field-people_waiting">7</td>' in boss.get("/admin/event/event/").text
    assert re.search(
        r'field-people_waiting.*?<div class="readonly">7</div>', boss.get(page("event_event", full)).text, re.S
    )


def test_number_of_waiting_people_is_not_edited(boss, full, carol):
    wait(full, carol)

    boss.post(page("event_event", full), form_of(full, waiting=5, people_waiting=5))

    assert Event.objects.get().waiting == 1


def test_page_of_a_user_shows_their_places(boss, place, carol):
    text = boss.get(page("auth_user", carol)).text

    assert f'<a href="{page(PLACE, place)}">Full</a>' in text
    assert f'<a href="{LIST}?user__id__exact={carol.pk}">All 1 places</a>' in text


@pytest.mark.parametrize(("permission", "path"), [("view_event", "event"), ("add_event", "list")])
def test_adding_from_the_page_of_an_event_leads_back_to_it(full, carol, permission, path):
    client = staff("eve", "view_waitlistentry", "add_waitlistentry", permission)
    pages = {"event": page("event_event", full), "list": LIST}

    response = client.post(f"{ADD}?event={full.pk}", {"event": full.pk, "user": carol.pk}, follow=True)

    assert response.redirect_chain == [(pages[path], 302)]


def test_viewer_is_read_only(full, place, alice):
    viewer = staff("eve", "view_waitlistentry", "view_event")

    assert viewer.get(LIST).status_code == viewer.get(page(PLACE, place)).status_code == 200
    assert f'<a href="{page(PLACE, place)}">carol</a>' in viewer.get(page("event_event", full)).text
    assert "Add a user to the waiting list" not in viewer.get(page("event_event", full)).text
    assert viewer.post(ADD, {"event": full.pk, "user": alice.pk}).status_code == 403
    assert viewer.post(reverse(f"admin:{PLACE}_delete", args=[place.pk]), {"post": "yes"}).status_code == 403
    delete_selected(viewer, PLACE, [place])
    assert line(full) == ["carol"]


def test_pages_respect_view_permissions(full, place, carol):
    client = staff("eve", "view_event", "view_user", "view_reservation")

    assert client.get(LIST).status_code == client.get(page(PLACE, place)).status_code == 403
    assert page(PLACE, place) not in client.get(page("event_event", full)).text
    assert page(PLACE, place) not in client.get(page("auth_user", carol)).text


def test_no_link_leads_a_viewer_to_a_forbidden_page(full, place, carol):
    viewer = staff("eve", *Permission.objects.filter(codename__startswith="view_").values_list("codename", flat=True))

    for path in (page("event_event", full), page("auth_user", carol), page(PLACE, place), LIST):
        links = [
            unescape(link) for link in re.findall(r'<a[^>]* href="(/admin/reservation/[^"]*)"', viewer.get(path).text)
        ]
        assert links
        assert {viewer.get(link).status_code for link in links} == {200}


@committing
def test_message_names_who_got_the_seat_of_one_reservation(boss, full, place):
    response = cancel(boss, full.reservations.get())

    assert told(response) == ["The reservation “bob at Full” was cancelled.", GOT_THE_SEAT]
    assert logged(Event) == [(CHANGE, "Cancelled the seat of bob."), (CHANGE, GOT_THE_SEAT)]
    assert holders(full) == ["carol"]


@committing
def test_message_names_who_got_the_seats_of_selected_reservations(boss, alice, event_of, people):
    first, second = event_of(alice, title="First", capacity=2), event_of(alice, title="Second", capacity=1)
    a, b, c, d, e = people(5)
    held = book(first, a, b) + book(second, a)
    wait(first, c, d)
    wait(second, d, e)

    response = delete_selected(boss, "reservation_reservation", held)

    expected = "Seats went to person2 (First), person3 (First) and person3 (Second) from the waiting list."
    assert told(response) == [expected, "Successfully cancelled 3 reservations."]
    assert [message for _, message in logged(Event)[3:]] == [
        "Seats went to person2 and person3 from the waiting list.",
        "The seat went to person3 from the waiting list.",
    ]
    assert_balanced()


@committing
def test_message_names_who_got_the_seats_of_a_larger_capacity(boss, full, people):
    wait(full, *people(3))

    response = boss.post(page("event_event", full), form_of(full, capacity=3), follow=True)

    message = "Seats went to person0 and person1 from the waiting list."
    assert told(response)[1:] == [message]
    assert (CHANGE, message) in logged(Event)
    assert line(full) == ["person2"]


@committing
def test_message_names_who_got_the_seat_of_a_deleted_user(boss, full, place, bob):
    response = delete_selected(boss, "auth_user", [bob])

    assert GOT_THE_SEAT in told(response)
    assert logged(Event) == [(CHANGE, "Deleted the account and cancelled the seat of bob."), (CHANGE, GOT_THE_SEAT)]


@committing
def test_message_names_who_got_the_seat_of_one_deleted_user(boss, full, place, bob):
    response = boss.post(reverse("admin:auth_user_delete", args=[bob.pk]), {"post": "yes"}, follow=True)

    assert GOT_THE_SEAT in told(response)


@committing
def test_long_message_is_cut(boss, full, people):
    crowd = people(MAX_NAMES + 5)
    wait(full, *crowd)

    response = boss.post(page("event_event", full), form_of(full, capacity=1 + len(crowd)), follow=True)

    [_, message] = told(response)
    assert message.endswith(f"person{MAX_NAMES - 1} and 5 more from the waiting list.")
    assert (CHANGE, message) in logged(Event)


@committing
def test_failed_change_names_nobody(boss, full, place, monkeypatch):
    def fail(*args):
        raise IntegrityError

    # Django logs the change after it has saved the event.
    monkeypatch.setattr(EventAdmin, "log_change", fail)

    response = boss.post(page("event_event", full), form_of(full, capacity=2), follow=True)

    assert told(response) == [CHANGED_MEANWHILE]
    assert holders(full) == ["bob"]
    assert line(full) == ["carol"]
    assert not LogEntry.objects.exists()


@committing
def test_message_is_only_about_seats_that_were_given(boss, event, bob):
    [reservation] = book(event, bob)

    assert told(cancel(boss, reservation)) == ["The reservation “bob at Concert” was cancelled."]


def test_question_says_who_gets_the_seat(boss, full, carol):
    [reservation] = full.reservations.all()
    url = reverse("admin:reservation_reservation_delete", args=[reservation.pk])

    nobody_waits = boss.get(url).text
    wait(full, carol)
    somebody_waits = boss.get(url).text
    finish(full)
    over = boss.get(url).text

    assert "The seat can then be booked again." in nobody_waits
    assert "The first person on the waiting list gets the seat." in somebody_waits
    assert STAYS_FREE in over


def test_question_says_that_nobody_gets_the_seat(boss, event_of, alice, bob, carol):
    called_off, begun = event_of(alice), event_of(alice)
    reservations = book(called_off, bob) + book(begun, carol)

    called_off.cancel()
    begin(begun)

    urls = [reverse("admin:reservation_reservation_delete", args=[each.pk]) for each in reservations]
    assert all(STAYS_FREE in boss.get(url).text for url in urls)


def test_deletions_say_how_many_places_are_removed(boss, place, full, carol):
    event_page = boss.get(reverse("admin:event_event_delete", args=[full.pk])).text
    user_page = boss.get(reverse("admin:auth_user_delete", args=[carol.pk])).text

    assert "Event: Full (booked: 1, waiting: 1)" in event_page
    assert "Places on waiting lists: 1" in event_page
    assert "Places on waiting lists to be removed: 1" in user_page


def test_deletions_need_permission_for_places(full, place, carol):
    clerk = staff("eve", "view_event", "delete_event", "delete_reservation", "view_user", "delete_user", "delete_token")

    delete_selected(clerk, "event_event", [full])
    delete_selected(clerk, "auth_user", [carol])

    assert Event.objects.exists()
    assert User.objects.filter(pk=carol.pk).exists()


def test_history_of_an_event_says_that_a_waiting_user_was_deleted(boss, place, carol):
    delete_selected(boss, "auth_user", [carol])

    assert logged(Event) == [(CHANGE, "Deleted the account and removed from the waiting list: carol.")]
    assert_balanced()


def test_list_is_filtered_by_the_start_of_the_event(boss, place):
    tomorrow = timezone.now() + timedelta(days=1)

    assert shown(boss, f"event__start_time__year={tomorrow.year}") == [("carol", 1)]
    assert shown(boss, f"event__start_time__year={tomorrow.year + 1}") == []
