"""Checking attendees in, and undoing that."""

from functools import partial

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from event.exceptions import EventCancelled
from event.models import Event, EventManager
from reservation import door
from reservation.exceptions import CheckedIn
from reservation.models import Reservation
from tests.conftest import LONG, SHORT
from tests.ledger import assert_balanced, begin, book, finish, holders, seats_left, wait


@pytest.fixture
def scan(as_user, alice, event):
    """Check a reservation in at Alice's event. Returns the response."""
    return lambda reservation: as_user(alice).post(
        LONG.check_in(event), {"reservation": getattr(reservation, "pk", reservation)}
    )


@pytest.fixture
def undo(as_user, alice, event):
    return lambda reservation: as_user(alice).delete(LONG.check_in(event, reservation))


@pytest.fixture
def elsewhere(alice, bob, event_of):
    """Bob's reservation for another event of Alice's."""
    return book(event_of(alice), bob)[0]


def checked_in_at(reservation):
    return Reservation.objects.get(pk=reservation.pk).checked_in_at


def test_organizer_checks_an_attendee_in(scan, as_user, alice, bob, routes, event, reservation):
    before = timezone.now()

    response = scan(reservation)

    assert response.status_code == 200
    assert before < checked_in_at(reservation) < timezone.now()
    assert response.json() == {
        "id": reservation.pk,
        "user": "bob",
        "created_at": reservation.created_at.isoformat().replace("+00:00", "Z"),
        "from_waitlist": False,
        "checked_in_at": checked_in_at(reservation).isoformat().replace("+00:00", "Z"),
    }
    assert as_user(alice).get(routes.attendees(event)).json()["results"] == [response.json()]
    owned = as_user(bob).get(routes.reservation(reservation)).json()
    assert owned["checked_in_at"] == response.json()["checked_in_at"]
    assert_balanced()


def test_again_gives_the_same_time(scan, reservation):
    first = scan(reservation)

    again = scan(reservation)

    assert again.status_code == 200
    assert again.json() == first.json()


@pytest.mark.parametrize("passed", [begin, finish])
def test_check_in_is_possible_at_any_time(scan, undo, event, reservation, passed):
    passed(event)

    assert scan(reservation).status_code == 200
    assert undo(reservation).status_code == 204


def test_nobody_is_checked_in_at_a_called_off_event(scan, event, reservation):
    event.cancel()

    response = scan(reservation)

    assert response.status_code == 400
    assert response.json()["code"] == "event_cancelled"
    assert checked_in_at(reservation) is None


def test_check_in_can_be_undone_after_the_call_off(scan, undo, event, reservation):
    scan(reservation)
    event.cancel()

    assert undo(reservation).status_code == 204
    assert checked_in_at(reservation) is None


def test_reservation_of_another_event_is_refused(scan, event, elsewhere):
    response = scan(elsewhere)

    assert response.status_code == 400
    assert response.json() == {"reservation": ["This event has no reservation with this id."]}
    assert checked_in_at(elsewhere) is None


@pytest.mark.parametrize(
    "value",
    [None, "", "x", True, [], [1], {}, 1.5, 0, -1, 10**30, 10**400, "1" * 5000, "NaN", "\0"],
    ids=range(15),
)
def test_bad_reservation_is_refused(scan, reservation, value):
    response = scan(value)

    assert response.status_code == 400
    assert response.json().keys() == {"reservation"}


@pytest.mark.parametrize("body", [None, {}, [], [1], 7, "text"])
def test_body_without_reservation_is_refused(as_user, alice, routes, event, body):
    assert as_user(alice).post(routes.check_in(event), body).status_code == 400


def test_undo(scan, undo, reservation):
    scan(reservation)

    response = undo(reservation)

    assert response.status_code == 204
    assert response.content == b""
    assert checked_in_at(reservation) is None


def test_undoing_twice_is_204(scan, undo, reservation):
    scan(reservation)

    assert [undo(reservation).status_code for _ in range(2)] == [204, 204]


def test_undo_then_check_in_gives_a_new_time(scan, undo, reservation):
    first = scan(reservation).json()["checked_in_at"]
    undo(reservation)

    assert scan(reservation).json()["checked_in_at"] > first


def test_undo_at_another_event_is_404(as_user, alice, scan, undo, routes, event, reservation, elsewhere):
    scan(reservation)

    assert undo(elsewhere).status_code == 404
    assert as_user(alice).delete(routes.check_in(elsewhere.event, reservation)).status_code == 404
    assert checked_in_at(reservation)


@pytest.mark.parametrize("number", [999, 10**18, 10**30])
def test_unknown_ids_are_404(as_user, alice, routes, event, number):
    client = as_user(alice)

    assert client.delete(routes.check_in(event, number)).status_code == 404
    assert client.delete(routes.check_in(number, 1)).status_code == 404
    assert client.post(routes.check_in(number), {"reservation": 1}).status_code == 404


@pytest.mark.parametrize("names", [LONG, SHORT], ids=["long", "short"])
def test_other_methods_are_405(as_user, alice, event, reservation, names):
    client = as_user(alice)

    for method in ("get", "put", "patch", "delete", "options"):
        response = getattr(client, method)(names.check_in(event))
        assert (response.status_code, response["Allow"]) == (405, "POST")
    for method in ("get", "put", "patch", "post", "options"):
        response = getattr(client, method)(names.check_in(event, reservation))
        assert (response.status_code, response["Allow"]) == (405, "DELETE")


def test_owner_cannot_cancel(as_user, bob, scan, routes, event, reservation):
    scan(reservation)

    response = as_user(bob).delete(routes.reservation(reservation))

    assert response.status_code == 400
    assert response.json()["code"] == "checked_in"
    assert seats_left(event) == 9
    assert Reservation.objects.exists()


def test_checked_in_is_told_before_that_the_event_has_started(as_user, bob, scan, routes, event, reservation):
    scan(reservation)
    begin(event)

    assert as_user(bob).delete(routes.reservation(reservation)).json()["code"] == "checked_in"


def test_owner_can_cancel_after_an_undo(as_user, bob, scan, undo, routes, reservation):
    scan(reservation)
    undo(reservation)

    assert as_user(bob).delete(routes.reservation(reservation)).status_code == 204


def test_check_in_between_reading_and_deleting_stops_the_cancellation(event, reservation, monkeypatch):
    free_seat = EventManager.free_seat

    def check_in_first(manager, event_id):
        Reservation.objects.check_in(event.pk, reservation.pk)
        return free_seat(manager, event_id)

    monkeypatch.setattr(EventManager, "free_seat", check_in_first)

    with pytest.raises(CheckedIn):
        reservation.cancel()

    assert seats_left(event) == 9
    assert_balanced()


def test_condition_stands_in_the_statement_that_deletes(event, reservation):
    with CaptureQueriesContext(connection) as queries:
        reservation.cancel()

    [delete] = [query["sql"] for query in queries if query["sql"].startswith("DELETE")]
    assert '"checked_in_at" IS NULL' in delete


@pytest.mark.parametrize(
    "remove",
    [
        lambda reservation: reservation.delete(),
        lambda reservation: reservation.user.delete(),
        lambda reservation: Reservation.objects.take_back(reservation.event_id, reservation.pk, by=1),
        lambda reservation: reservation.event.delete(),
    ],
    ids=["delete", "account", "take back", "event"],
)
def test_others_can_remove_it(event, reservation, remove):
    Reservation.objects.check_in(event.pk, reservation.pk)

    remove(reservation)

    assert not Reservation.objects.exists()
    assert_balanced()


@pytest.mark.parametrize(
    "write",
    [
        lambda reservation: Reservation.objects.update(checked_in_at=timezone.now()),
        lambda reservation: reservation.save(update_fields=["checked_in_at"]),
        lambda reservation: Reservation.objects.bulk_update([reservation], ["checked_in_at"]),
    ],
)
def test_time_cannot_be_set(reservation, write):
    reservation.checked_in_at = timezone.now()

    with pytest.raises(TypeError), transaction.atomic():
        write(reservation)

    assert checked_in_at(reservation) is None


def test_new_reservation_cannot_be_checked_in(carol, event):
    with pytest.raises(TypeError, match=r"check_in\(\)"):
        Reservation.objects.create(user=carol, event=event, checked_in_at=timezone.now())

    assert seats_left(event) == 10


@pytest.fixture
def crowd(event, people):
    """Four reservations, of which the second is checked in."""
    crowd = book(event, *people(4))
    Reservation.objects.check_in(event.pk, crowd[1].pk)
    return crowd


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["person0", "person1", "person2", "person3"]),
        ("checked_in=true", ["person1"]),
        ("checked_in=false", ["person0", "person2", "person3"]),
        ("checked_in=false&page_size=2&page=2", ["person3"]),
        ("checked_in=", ["person0", "person1", "person2", "person3"]),
    ],
)
def test_attendees_are_filtered(as_user, alice, routes, event, crowd, query, names):
    response = as_user(alice).get(f"{routes.attendees(event)}?{query}").json()

    assert [each["user"] for each in response["results"]] == names


@pytest.mark.parametrize("value", ["yes", "True", "1", "null", "\0"])
def test_bad_filter_is_refused(as_user, alice, routes, event, value):
    response = as_user(alice).get(routes.attendees(event), {"checked_in": value})

    assert response.status_code == 400
    assert response.json().keys() == {"checked_in"}


def test_strangers_learn_nothing_from_a_bad_filter(as_user, bob, routes, event):
    assert as_user(bob).get(routes.attendees(event), {"checked_in": "x"}).status_code == 403


def test_many_are_checked_in_at_once(alice, event, event_of, crowd, people, bob):
    others = book(event_of(alice, title="Other"), bob)
    off = event_of(alice, title="Off")
    book(off, bob)
    off.cancel()
    before = checked_in_at(crowd[1])

    changed = door.check_in_all(Reservation.objects.all())

    assert changed == sorted(each.pk for each in [crowd[0], *crowd[2:], *others])
    assert checked_in_at(crowd[1]) == before
    assert not Reservation.objects.filter(event=off).checked_in().exists()


def test_many_check_ins_are_undone_at_once(event, crowd):
    Reservation.objects.check_in(event.pk, crowd[3].pk)

    changed = door.undo_all(Reservation.objects.filter(pk__in=[each.pk for each in crowd[:3]]))

    assert changed == [crowd[1].pk]
    assert list(Reservation.objects.checked_in()) == [crowd[3]]


def test_statements_do_not_grow_with_the_reservations(event, people, django_assert_num_queries):
    book(event, *people(8))

    # Lock the event, read the ids, update. And a savepoint, because the test runs in a transaction.
    with django_assert_num_queries(6):
        door.check_in_all(Reservation.objects.all())


def test_promoted_person_can_be_checked_in(scan, alice, bob, carol, event_of, as_user, routes):
    full = event_of(alice, capacity=1)
    [held] = book(full, bob)
    wait(full, carol)
    held.cancel()

    check_in = partial(as_user(alice).post, routes.check_in(full))
    response = check_in({"reservation": full.reservations.get().pk})

    assert (response.json()["user"], response.json()["from_waitlist"]) == ("carol", True)
    assert holders(full) == ["carol"]


def test_event_that_is_deleted_meanwhile_is_404(scan, event, reservation, monkeypatch):
    lock = EventManager.lock_briefly

    def too_late(manager, event_id):
        Event.objects.filter(pk=event_id).delete()
        return lock(manager, event_id)

    monkeypatch.setattr(EventManager, "lock_briefly", too_late)

    assert scan(reservation).status_code == 404


def test_call_off_between_reading_and_locking_stops_the_check_in(event, reservation, monkeypatch):
    lock = EventManager.lock_briefly

    def too_late(manager, event_id):
        event.cancel()
        return lock(manager, event_id)

    monkeypatch.setattr(EventManager, "lock_briefly", too_late)

    with pytest.raises(EventCancelled):
        Reservation.objects.check_in(event.pk, reservation.pk)

    assert checked_in_at(reservation) is None
