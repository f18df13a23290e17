"""What an event that was called off means for bookings, cancellations and the waiting list."""

import pytest
from django.db import IntegrityError, connection, transaction

from event.exceptions import EventCancelled
from event.models import Event
from eventmanagement.database.errors import violates
from reservation.models import Reservation, WaitlistEntry
from tests.ledger import assert_balanced, begin, book, holders, line, seats_left, sell_out, wait

pytestmark = pytest.mark.usefixtures("either_body")


@pytest.fixture
def full(alice, bob, event_of):
    """Alice's event with one seat, which Bob has."""
    full = event_of(alice, capacity=1)
    book(full, bob)
    return full


@pytest.fixture
def post(as_user):
    def post(person, path, event):
        response = as_user(person).post(path, {"event_id": event.pk})
        assert response.status_code == 400
        return response.json()["code"]

    return post


@pytest.mark.parametrize("also", [lambda event: None, begin, sell_out], ids=["nothing", "started", "sold out"])
def test_booking_is_refused(bob, routes, event, post, also):
    also(event)
    event.cancel()

    assert post(bob, routes.reservations, event) == "event_cancelled"
    assert not Reservation.objects.exists()


def test_already_reserved_comes_first(bob, routes, full, post):
    full.cancel()

    assert post(bob, routes.reservations, full) == "already_reserved"
    assert post(bob, routes.places, full) == "already_reserved"


@pytest.mark.parametrize("also", [lambda event: None, begin], ids=["nothing", "started"])
def test_joining_is_refused(carol, routes, full, post, also):
    also(full)
    full.cancel()

    assert post(carol, routes.places, full) == "event_cancelled"
    assert not WaitlistEntry.objects.exists()


def test_joining_with_free_seats_is_refused(carol, routes, event, post):
    event.cancel()

    assert post(carol, routes.places, event) == "event_cancelled"


def test_place_cannot_be_saved(carol, full):
    full.cancel()

    with pytest.raises(EventCancelled):
        WaitlistEntry(user=carol, event=full).save()


def test_reservation_cannot_be_saved(carol, event):
    event.cancel()

    with pytest.raises(EventCancelled):
        Reservation(user=carol, event=event).save()


def test_owner_can_cancel_until_the_start(as_user, bob, routes, full):
    [reservation] = full.reservations.all()
    full.cancel()

    assert as_user(bob).get(routes.reservation(reservation)).json()["event"]["cancelled_at"]
    assert as_user(bob).delete(routes.reservation(reservation)).status_code == 204
    assert seats_left(full) == 1
    assert_balanced()


def test_owner_cannot_cancel_after_the_start(as_user, bob, routes, full):
    [reservation] = full.reservations.all()
    begin(full)
    full.cancel()

    response = as_user(bob).delete(routes.reservation(reservation))

    assert response.json()["code"] == "event_started"


def test_place_that_is_gone_is_404(as_user, carol, routes, full):
    [place] = wait(full, carol)
    full.cancel()

    assert as_user(carol).get(routes.place(place)).status_code == 404
    assert as_user(carol).delete(routes.place(place)).status_code == 404


def test_larger_capacity_promotes_nobody(as_user, alice, carol, routes, full):
    wait(full, carol)
    full.cancel()

    response = as_user(alice).patch(routes.event(full), {"capacity": 5})

    assert response.json()["seats_remaining"] == 4
    assert holders(full) == ["bob"]
    assert_balanced()


@pytest.fixture
def forgotten(carol, full):
    """Insert a place at a called-off event, as a fixture might. Returns the event."""
    full.cancel()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO reservation_waitlistentry (event_id, user_id, created_at) VALUES (%s, %s, %s)",
            [full.pk, carol.pk, "2026-01-01 00:00:00+00:00"],
        )
    return full


@pytest.mark.parametrize(
    "free",
    [
        lambda full: full.reservations.get().delete(),
        lambda full: full.reservations.get().cancel(),
        lambda full: full.resize(3),
    ],
    ids=["delete", "cancel", "resize"],
)
def test_place_at_a_called_off_event_gets_no_seat(forgotten, free):
    free(forgotten)

    assert "carol" not in holders(forgotten)


def test_database_refuses_that_people_wait(full):
    full.cancel()

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        Event.objects.filter(pk=full.pk).move_waiting(1)

    assert violates(refusal.value, Event, "event_nobody_waits_if_called_off")
    assert line(full) == []
