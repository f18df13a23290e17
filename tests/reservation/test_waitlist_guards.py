"""Proof that the tests of the waiting list can fail: with a guard switched off, they find the error.

See also test_guards.py.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError, connection, models, transaction
from django.db.models import F

from event.models import Event, EventManager
from event.signals import Freed
from eventmanagement.database.errors import violates
from reservation import waitlist
from reservation.models import Reservation, WaitlistEntry
from tests.ledger import book, holders, line, seats_left, wait
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session
from tests.reservation.test_guards import failures, is_balanced, meet

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another"),
]
NOBODY_WAITS = "event_nobody_waits_beside_a_free_seat"


@pytest.fixture
def event(alice, event_of):
    return event_of(alice, capacity=1)


@pytest.fixture
def held(bob, event):
    """Bob's reservation of the only seat."""
    return book(event, bob)[0]


@pytest.fixture
def join(carol, event):
    return partial(WaitlistEntry.objects.create, user=carol, event=event)


@pytest.fixture
def joining_without_the_lock(monkeypatch):
    """Read whether the event is full instead of updating its row, and count the place later."""
    together = meet(2)

    def read(manager, event_id):
        event = manager.get(pk=event_id, seats_remaining=0)
        together()
        # The holder cancels here.
        together()
        manager.filter(pk=event_id).move_waiting(F("waiting") + 1)
        return event

    monkeypatch.setattr(EventManager, "add_waiting", read)
    return together


def cancel_meanwhile(held, together):
    together()
    held.cancel()
    together()


def test_joining_without_the_lock_is_stopped_by_the_constraint(join, held, joining_without_the_lock):
    outcomes = race([join, partial(cancel_meanwhile, held, joining_without_the_lock)])

    [error] = failures(outcomes, IntegrityError)
    assert violates(error, Event, NOBODY_WAITS)


def test_joining_without_lock_and_constraint_waits_while_a_seat_is_free(
    join,
    held,
    event,
    joining_without_the_lock,
    without,
):
    without(Event, NOBODY_WAITS)

    race([join, partial(cancel_meanwhile, held, joining_without_the_lock)])

    assert line(event) == ["carol"]
    assert seats_left(event) == 1


def cancelling_without_the_condition(manager, event_id):
    manager.filter(pk=event_id).move_seats(F("seats_remaining") + 1)
    return Freed(1)


def test_cancelling_without_the_condition_is_stopped_by_the_constraint(join, held, monkeypatch):
    """An older release cancels like this while this one has people waiting."""
    join()
    monkeypatch.setattr(EventManager, "free_seat", cancelling_without_the_condition)

    with pytest.raises(IntegrityError) as refusal:
        held.cancel()

    assert violates(refusal.value, Event, NOBODY_WAITS)
    assert is_balanced()


def test_cancelling_without_condition_and_constraint_forgets_who_waits(
    join,
    held,
    event,
    monkeypatch,
    without,
):
    without(Event, NOBODY_WAITS)
    join()
    monkeypatch.setattr(EventManager, "free_seat", cancelling_without_the_condition)

    held.cancel()

    assert (holders(event), line(event)) == ([], ["carol"])


def test_reasons_from_before_the_wait_let_a_person_hold_and_wait(carol, join, held, event, monkeypatch):
    """A condition in the update itself would see the same old rows. Then every later promotion would fail."""
    before = waitlist.reasons_against_joining(carol.pk, event.pk)

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            event.lock()
            WaitlistEntry.objects.create(user=carol, event=event)
            held.cancel()
            monkeypatch.setattr(waitlist, "reasons_against_joining", lambda user_id, event_id: before)
            outcome = thread.submit(race, [join])
            wait_for_blocked_session()
        outcome.result(RACE_TIMEOUT)

    assert (holders(event), line(event)) == (["carol"], ["carol"])


def test_promotion_that_does_not_skip_holders_fails(carol, join, event, bob, monkeypatch):
    event.resize(2)
    held = book(event, bob, carol)[0]
    monkeypatch.setattr(waitlist.ReasonsAgainstJoining, "raise_if_already_in", lambda reasons: None)
    join()
    monkeypatch.setattr(
        waitlist,
        "_convert",
        lambda places: models.QuerySet(Reservation).bulk_create(
            [Reservation(event_id=place.event_id, user_id=place.user_id) for place in places]
        ),
    )

    with pytest.raises(IntegrityError) as refusal:
        held.cancel()

    assert violates(refusal.value, Reservation, "reservation_once_per_user_and_event")


def test_leaving_place_first_deadlocks_with_promotion(join, held, monkeypatch, settings):
    # Longer than PostgreSQL's deadlock_timeout.
    settings.BOOKING_LOCK_TIMEOUT = "30s"
    place = join()
    together = meet(2)
    convert = waitlist._convert

    def convert_together(places):
        together()
        return convert(places)

    @transaction.atomic
    def leave_place_first():
        models.Model.delete(place)
        together()
        Event.objects.remove_waiting(place.event_id)

    monkeypatch.setattr(waitlist, "_convert", convert_together)

    outcomes = race([held.cancel, leave_place_first])

    [deadlock] = failures(outcomes, OperationalError)
    assert deadlock.__cause__.sqlstate == "40P01"


def test_leaving_without_delete_count_lowers_the_count_twice(join, held, event, people, monkeypatch):
    place = join()
    wait(event, *people(2))
    remove_waiting = EventManager.remove_waiting
    together = meet(2)

    def remove_together(manager, event_id):
        # At this point both threads have read the row.
        together()
        remove_waiting(manager, event_id)

    monkeypatch.setattr(EventManager, "remove_waiting", remove_together)
    monkeypatch.setattr(waitlist, "_delete", lambda places: models.QuerySet.delete(places) and 1)

    race([place.leave, place.leave])

    assert len(line(event)) == 2
    assert Event.objects.get().waiting == 1
