"""Every change of seats is atomic, even if the caller opens no transaction."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError

from event.models import Event, EventManager
from reservation.audit import repair
from reservation.models import Reservation
from tests.ledger import assert_balanced, seats_left

pytestmark = pytest.mark.django_db(transaction=True)


DELETIONS = {
    "event": lambda reservation: reservation.event.delete(),
    "events": lambda reservation: Event.objects.filter(title="Concert").delete(),
    "reservation": Reservation.delete,
    "reservations": lambda reservation: Reservation.objects.filter(user=reservation.user).delete(),
    "cancellation": Reservation.cancel,
    "user": lambda reservation: reservation.user.delete(),
    "users": lambda reservation: User.objects.filter(username="bob").delete(),
}


@pytest.mark.parametrize("delete", DELETIONS.values(), ids=DELETIONS)
def test_deletion_opens_own_transaction(reservation, delete):
    delete(reservation)

    assert not Reservation.objects.exists()
    assert_balanced()


def fail(*args, **options):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "deletion", ["event", "events", "reservation", "reservations", "cancellation", "user", "users"]
)
@pytest.mark.parametrize("logged", ["event.models.log_seats", "reservation.models.log_seats"])
def test_deletion_that_fails_deletes_nothing(reservation, monkeypatch, deletion, logged):
    """Each deletion fails when it logs, or when Django's Collector deletes the rows."""
    monkeypatch.setattr(logged, fail)
    monkeypatch.setattr("django.db.models.deletion.Collector.delete", fail)

    with pytest.raises(ZeroDivisionError):
        DELETIONS[deletion](reservation)

    assert list(Reservation.objects.all()) == [reservation]
    assert seats_left(reservation.event) == 9


def test_booking_in_two_statements_that_fails_takes_no_seat(bob, event, reservation):
    with pytest.raises(IntegrityError):
        Reservation.objects.create(user=bob, event=event)

    assert seats_left(event) == 9


def test_edit_that_fails_leaves_the_capacity_alone(event):
    event.capacity, event.end_time = 4, event.start_time

    with pytest.raises(IntegrityError):
        event.save()

    assert (Event.objects.get().capacity, seats_left(event)) == (10, 10)


def test_repair_that_fails_changes_nothing(reservation, monkeypatch):
    EventManager.set_seats(Event.objects, reservation.event_id, 3)
    monkeypatch.setattr("reservation.audit.log_seats", fail)

    with pytest.raises(ZeroDivisionError):
        repair(reservation.event_id)

    assert seats_left(reservation.event) == 3
