"""For an instance with changed or deferred fields, cancelling uses the values in the database."""

import logging

import pytest
from django.db import connection

from event.models import Event, EventManager, EventQuerySet
from reservation.exceptions import AlreadyCancelled
from reservation.models import Reservation
from tests.ledger import assert_balanced, seats_left


@pytest.fixture
def other(alice, carol, event_of):
    """Another event of Alice's, with a reservation of Carol."""
    other = event_of(alice, title="Other")
    Reservation.objects.book(user=carol, event_id=other.pk)
    return other


@pytest.fixture
def movements(caplog, django_capture_on_commit_callbacks):
    """Run a function, and return the seat movements that it logged."""
    caplog.set_level(logging.INFO, "event.seats")

    def after(action):
        caplog.clear()
        with django_capture_on_commit_callbacks(execute=True):
            action()
        return [
            (record.movement, record.event, record.user, record.reservation, record.seats_left)
            for record in caplog.records
        ]

    return after


def with_attributes(reservation, **changes):
    for name, value in changes.items():
        setattr(reservation, name, value)
    return reservation


def loaded_again(reservation):
    return Reservation.objects.get(pk=reservation.pk)


INSTANCES = {
    "unchanged": lambda row, other, carol: loaded_again(row),
    "other event": lambda row, other, carol: with_attributes(loaded_again(row), event=other),
    "other event_id": lambda row, other, carol: with_attributes(loaded_again(row), event_id=other.pk),
    "event that is not there": lambda row, other, carol: with_attributes(loaded_again(row), event_id=0),
    "other user": lambda row, other, carol: with_attributes(loaded_again(row), user=carol),
    "other user_id": lambda row, other, carol: with_attributes(loaded_again(row), user_id=0),
    "other event and user": lambda row, other, carol: with_attributes(loaded_again(row), event=other, user=carol),
    "only id": lambda row, other, carol: Reservation.objects.only("id").get(pk=row.pk),
    "only event": lambda row, other, carol: Reservation.objects.only("event").get(pk=row.pk),
    "only user": lambda row, other, carol: Reservation.objects.only("user").get(pk=row.pk),
    "no event": lambda row, other, carol: Reservation.objects.defer("event").get(pk=row.pk),
    "no user": lambda row, other, carol: Reservation.objects.defer("user").get(pk=row.pk),
    "no created_at": lambda row, other, carol: Reservation.objects.defer("created_at").get(pk=row.pk),
    "by hand": lambda row, other, carol: Reservation(pk=row.pk),
    "by hand and wrong": lambda row, other, carol: Reservation(pk=row.pk, event=other, user=carol),
}


@pytest.mark.parametrize("take_back", [Reservation.cancel, Reservation.delete])
@pytest.mark.parametrize("instance", INSTANCES.values(), ids=INSTANCES)
def test_seat_of_the_row_is_returned(bob, carol, event, other, reservation, movements, take_back, instance):
    instance = instance(reservation, other, carol)

    logged = movements(lambda: take_back(instance))

    assert logged == [("returned", event.pk, bob.pk, reservation.pk, 10)]
    assert not Reservation.objects.filter(pk=reservation.pk).exists()
    assert (seats_left(event), seats_left(other)) == (10, 9)
    assert_balanced()


@pytest.mark.parametrize("instance", [Reservation(), Reservation(pk=0), Reservation(pk=None, event_id=1, user_id=1)])
def test_missing_row_is_already_cancelled(event, reservation, instance):
    with pytest.raises(AlreadyCancelled):
        instance.cancel()

    assert_balanced()


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize(
    "faster",
    [
        lambda reservation: Reservation.objects.get(pk=reservation.pk).cancel(),
        lambda reservation: Event.objects.filter(pk=reservation.event_id).delete(),
    ],
    ids=["reservation", "event"],
)
def test_row_deleted_before_lock_is_already_cancelled(event, carol, reservation, monkeypatch, faster, others):
    """Also if it was the only reservation, so that there is no taken seat to give back."""
    if others:
        Reservation.objects.book(user=carol, event_id=event.pk)
    free_seat = EventManager.free_seat

    def too_late(manager, event_id):
        monkeypatch.undo()
        faster(reservation)
        return free_seat(manager, event_id)

    monkeypatch.setattr(EventManager, "free_seat", too_late)

    # The concurrent change is rolled back too, because the test makes it in the same transaction.
    with pytest.raises(AlreadyCancelled):
        reservation.cancel()


def move(reservation, event):
    """Move the reservation to another event with raw SQL, and adjust the seats of both events."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE event_event SET seats_remaining = seats_remaining + 1 WHERE id = %s", [reservation.event_id]
        )
        cursor.execute("UPDATE event_event SET seats_remaining = seats_remaining - 1 WHERE id = %s", [event.pk])
        cursor.execute("UPDATE reservation_reservation SET event_id = %s WHERE id = %s", [event.pk, reservation.pk])


def test_row_that_is_moved_before_its_event_is_locked_is_not_cancelled(event, other, carol, reservation, monkeypatch):
    Reservation.objects.book(user=carol, event_id=event.pk)
    free_seat = EventManager.free_seat

    def move_first(manager, event_id):
        move(reservation, other)
        return free_seat(manager, event_id)

    monkeypatch.setattr(EventManager, "free_seat", move_first)

    with pytest.raises(AlreadyCancelled):
        reservation.cancel()

    # The move was rolled back together with the cancellation.
    assert loaded_again(reservation).event == event
    assert_balanced()


def test_row_that_is_moved_before_its_event_is_locked_is_not_deleted(event, other, reservation, monkeypatch):
    lock = EventQuerySet.lock

    def move_first(events):
        move(reservation, other)
        return lock(events)

    monkeypatch.setattr(EventQuerySet, "lock", move_first)

    assert reservation.delete() == (0, {})

    assert loaded_again(reservation).event == other
    assert_balanced()
