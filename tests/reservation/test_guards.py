"""Proof that the race tests can fail: with a guard switched off, the same test code finds the error.

The tests use real threads on PostgreSQL, because SQLite runs transactions one after another. If an error needs two
transactions at the same point, a barrier synchronizes them.
"""

import threading
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError, connection, models, transaction

from event.exceptions import SoldOut
from event.models import Event, EventManager, EventQuerySet
from reservation import booking_sql
from reservation.booking import RefusalReasons
from reservation.models import Reservation
from tests.ledger import assert_balanced, seats_left
from tests.races import RACE_TIMEOUT, race

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("either_body"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another"),
]


@pytest.fixture
def without_condition(monkeypatch):
    """Remove the condition from the update, so that seats can be taken even if none are left."""
    monkeypatch.setattr(EventManager, "seats_to_take", lambda manager, event_id: manager.filter(pk=event_id))
    # The plain body checks before it updates.
    monkeypatch.setattr(RefusalReasons, "raise_first", lambda objections: None)
    booking_sql.statement.cache_clear()
    yield
    booking_sql.statement.cache_clear()


def meet(people_at_once):
    """Return a function that blocks until this many threads have called it."""
    return threading.Barrier(people_at_once, timeout=RACE_TIMEOUT).wait


def booking(person, event):
    return partial(Reservation.objects.book, user=person, event_id=event.pk)


def booking_in_two_steps(person, event):
    """Book with two statements, as on SQLite, so that a test can interrupt between taking the seat and the insert."""
    return partial(Reservation.objects.create, user=person, event_id=event.pk)


def failures(outcomes, *kinds):
    return [outcome for outcome in outcomes if isinstance(outcome, kinds)]


def is_balanced():
    try:
        assert_balanced()
    except AssertionError:
        return False
    return True


def test_update_without_its_condition_is_stopped_by_the_constraint(people, alice, event_of, without_condition):
    event = event_of(alice, capacity=2)

    outcomes = race(booking(person, event) for person in people(8))

    assert len(failures(outcomes, IntegrityError)) == 6
    assert len(failures(outcomes, SoldOut)) == 0


def test_update_without_its_condition_and_constraint_oversells(people, alice, event_of, without_condition, without):
    without(Event, "event_seats_are_not_oversold")
    event = event_of(alice, capacity=2)

    race(booking(person, event) for person in people(8))

    assert Reservation.objects.count() == 8


def test_counting_in_python_loses_seats(people, alice, event_of, monkeypatch):
    event = event_of(alice, capacity=8)
    together = meet(8)

    def take_seat(manager, event_id):
        read = manager.get(pk=event_id)
        together()
        manager.set_seats(event_id, read.seats_remaining - 1)
        return read

    monkeypatch.setattr(EventManager, "take_seat", take_seat)

    race(booking_in_two_steps(person, event) for person in people(8))

    assert Reservation.objects.count() == 8
    assert seats_left(event) == 7


def test_without_unique_constraint_users_get_several_seats(bob, event, without):
    without(Reservation, "reservation_once_per_user_and_event")

    race([booking_in_two_steps(bob, event)] * 6)

    assert Reservation.objects.count() == 6


def test_cancelling_row_first_deadlocks_with_booking(bob, event, monkeypatch, booking_lock_timeout):
    # Longer than PostgreSQL's deadlock_timeout.
    booking_lock_timeout("30s")
    reservation = booking(bob, event)()
    together = meet(2)
    take_seat = EventManager.take_seat

    def take_seat_and_meet(manager, event_id):
        taken = take_seat(manager, event_id)
        together()
        return taken

    @transaction.atomic
    def cancel_row_first():
        models.Model.delete(reservation)
        together()
        Event.objects.free_seat(event.pk)

    monkeypatch.setattr(EventManager, "take_seat", take_seat_and_meet)

    outcomes = race([cancel_row_first, booking_in_two_steps(bob, event)])

    [deadlock] = failures(outcomes, OperationalError)
    assert deadlock.__cause__.sqlstate == "40P01"


def test_cancelling_without_delete_count_frees_seats_twice(bob, carol, event, monkeypatch):
    booking(carol, event)()
    reservation = booking(bob, event)()
    delete = models.QuerySet.delete
    free_seat = EventManager.free_seat
    together = meet(2)

    def free_seat_together(manager, event_id):
        # At this point both threads have read the row.
        together()
        return free_seat(manager, event_id)

    def delete_and_claim_one(rows):
        delete(rows)
        return 1, {}

    monkeypatch.setattr(EventManager, "free_seat", free_seat_together)
    monkeypatch.setattr(models.QuerySet, "delete", delete_and_claim_one)

    race([Reservation.objects.get(pk=reservation.pk).cancel for _ in range(2)])

    assert Reservation.objects.count() == 1
    assert seats_left(event) == 10


def test_edits_that_write_the_count_lose_seats(people, event, monkeypatch):
    stale = Event.objects.get()
    monkeypatch.setattr(Event, "save", models.Model.save)
    race(booking(person, event) for person in people(4))

    stale.save()

    assert seats_left(event) == 10
    assert not is_balanced()


def test_capacity_without_its_seats_unbalances_the_ledger(event, monkeypatch):
    monkeypatch.setattr(EventQuerySet, "update", models.QuerySet.update)

    event.resize(20)

    assert not is_balanced()


def test_deleting_without_the_ledger_loses_seats(bob, event):
    booking(bob, event)()

    models.QuerySet(Reservation).delete()

    assert not is_balanced()
