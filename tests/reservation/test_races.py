"""Race conditions on the last seats, with real threads."""

import threading
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection

from event.models import Event
from reservation.models import Reservation, ReservationQuerySet
from tests.conftest import LONG
from tests.ledger import assert_balanced, seats_left
from tests.races import RACE_TIMEOUT, outcomes, race, wait_for_blocked_session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("either_body")]


@pytest.fixture
def clients(as_user, people):
    """Clients of sixteen users."""
    return [as_user(person) for person in people(16)]


def book(client, event):
    return partial(client.post, LONG.reservations, {"event_id": event.pk})


@pytest.mark.parametrize("seats", [1, 5])
def test_concurrent_bookings_do_not_oversell(clients, alice, event_of, seats):
    event = event_of(alice, capacity=seats)

    responses = race(book(client, event) for client in clients)

    assert outcomes(responses) == {201: seats, "sold_out": 16 - seats}
    assert seats_left(event) == 0
    assert_balanced()


def test_seats_remaining_is_unique_per_booking(clients, event_of, alice):
    event = event_of(alice, capacity=16)

    responses = race(book(client, event) for client in clients)

    assert sorted(response.json()["event"]["seats_remaining"] for response in responses) == list(range(16))


@pytest.mark.parametrize("seats", [1, 16])
def test_concurrent_bookings_of_one_user_get_one_seat(as_user, bob, alice, event_of, seats):
    event = event_of(alice, capacity=seats)

    responses = race([book(as_user(bob), event)] * 16)

    assert outcomes(responses) == {201: 1, "already_reserved": 15}
    reservation = Reservation.objects.get()
    assert {response.json().get("reservation", reservation.pk) for response in responses} == {reservation.pk}
    assert seats_left(event) == seats - 1


def test_concurrent_cancellations_free_one_seat(as_user, bob, carol, event):
    Reservation.objects.book(user=carol, event_id=event.pk)
    reservation = Reservation.objects.book(user=bob, event_id=event.pk)

    responses = race([partial(as_user(bob).delete, LONG.reservation(reservation))] * 8)

    assert outcomes(responses) == {204: 1, 404: 7}
    assert seats_left(event) == 9


def test_cancels_hand_their_seats_to_those_who_wait(clients, people, alice, event_of):
    event = event_of(alice, capacity=8)
    holders, others = clients[:8], clients[8:]
    held = [book(client, event)().json()["id"] for client in holders]

    responses = race(
        [partial(client.delete, LONG.reservation(pk)) for client, pk in zip(holders, held, strict=True)]
        + [book(client, event) for client in others]
    )

    assert outcomes(responses[:8]) == {204: 8}
    booked = outcomes(responses[8:])[201]
    assert booked + outcomes(responses[8:])["sold_out"] == 8
    assert seats_left(event) == 8 - booked
    assert_balanced()


def test_editing_while_people_book_loses_no_seat(clients, as_user, alice, event):
    organizer = as_user(alice)

    responses = race(
        [partial(organizer.patch, LONG.event(event), {"description": f"Edit {number}"}) for number in range(6)]
        + [book(client, event) for client in clients[:10]]
    )

    assert outcomes(responses) == {200: 6, 201: 10}
    assert seats_left(event) == 0
    assert_balanced()


def test_saving_stale_events_while_people_book_loses_no_seat(clients, event):
    stale = [Event.objects.get() for _ in range(6)]

    race([each.save for each in stale] + [book(client, event) for client in clients[:10]])

    assert seats_left(event) == 0
    assert_balanced()


def test_shrinking_while_people_book_never_oversells(clients, as_user, alice, event_of):
    event = event_of(alice, capacity=12)
    organizer = as_user(alice)

    responses = race(
        [partial(organizer.patch, LONG.event(event), {"capacity": capacity}) for capacity in (4, 6, 8, 10)]
        + [book(client, event) for client in clients[:12]]
    )

    assert outcomes(responses).keys() <= {200, 201, "sold_out", "capacity_below_reserved"}
    assert outcomes(responses)[201] == Reservation.objects.count()
    assert_balanced()


def test_deleting_the_event_while_people_book_ends_every_request(clients, as_user, alice, event):
    responses = race(
        [book(client, event) for client in clients] + [partial(as_user(alice).delete, LONG.event(event))] * 2
    )

    refused = outcomes(responses[:16])
    assert refused.keys() <= {201, "sold_out", "dict_keys(['event_id'])"}
    assert outcomes(responses[16:]) == {204: 1, 404: 1}
    assert not Event.objects.exists()
    assert not Reservation.objects.exists()


def test_deleting_people_while_they_cancel_gives_each_seat_back_once(clients, people, as_user, alice, event_of):
    events = [event_of(alice, capacity=8) for _ in range(3)]
    persons = list(User.objects.filter(username__startswith="person")[:6])
    held = {
        person: [Reservation.objects.book(user=person, event_id=event.pk) for event in events] for person in persons
    }
    cancels = [
        partial(as_user(person).delete, LONG.reservation(reservation))
        for person in persons[:3]
        for reservation in reversed(held[person])
    ]

    responses = race([person.delete for person in persons] + cancels)

    assert all(deleted[0] for deleted in responses[:6])
    assert outcomes(responses[6:]).keys() <= {204, 401, 404}
    assert not Reservation.objects.exists()
    assert_balanced()


def test_bulk_deletions_in_opposite_orders_do_not_deadlock(people, alice, event_of):
    events = [event_of(alice, capacity=10) for _ in range(4)]
    crowd = people(8)
    for number, person in enumerate(crowd):
        for event in events if number % 2 else reversed(events):
            Reservation.objects.book(user=person, event_id=event.pk)
    halves = [User.objects.filter(pk__in=[person.pk for person in half]) for half in (crowd[::2], crowd[1::2])]

    responses = race(
        [half.delete for half in halves]
        + [Reservation.objects.filter(event__in=events).order_by("-event_id").delete] * 2
    )

    assert [response for response in responses if isinstance(response, Exception)] == []
    assert not Reservation.objects.exists()
    assert_balanced()


def test_concurrent_account_deletion_leaks_no_seat(as_user, people, alice, event_of):
    events = [event_of(alice, capacity=10) for _ in range(8)]
    [person] = people(1)

    responses = race([book(as_user(person), event) for event in events] + [person.delete])

    assert outcomes(responses[:-1]).keys() <= {201, 401}
    assert_balanced()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another")
def test_events_of_all_who_are_deleted_together_are_locked_first(people, alice, event_of, monkeypatch):
    """The two deletions would give back seats of the two events in opposite orders."""
    earlier, later = event_of(alice), event_of(alice)
    first, second, third, fourth = people(4)
    for person, event in [(first, later), (second, earlier), (third, earlier), (fourth, later)]:
        Reservation.objects.book(user=person, event_id=event.pk)
    begun = threading.Event()
    delete = ReservationQuerySet.delete

    def delete_and_wait_for_the_others(reservations):
        deleted = delete(reservations)
        if not begun.is_set():
            begun.set()
            wait_for_blocked_session()
        return deleted

    def delete_others():
        begun.wait(RACE_TIMEOUT)
        return User.objects.filter(pk__in=[third.pk, fourth.pk]).delete()

    monkeypatch.setattr(ReservationQuerySet, "delete", delete_and_wait_for_the_others)

    outcomes = race([User.objects.filter(pk__in=[first.pk, second.pk]).delete, delete_others])

    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert not Reservation.objects.exists()
    assert_balanced()
