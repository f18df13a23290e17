"""Proof that the tests of calling off and of the door can fail: with a guard switched off, they find the error.

See also test_guards.py.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError, connection, models, transaction
from django.db.models.functions import Now

from event import models as event_models
from event.models import Event, EventManager, EventQuerySet
from eventmanagement.database.errors import violates
from eventmanagement.database.queries import ClockTimestamp
from reservation import booking, booking_sql, door, waitlist
from reservation.models import Reservation
from tests.ledger import holders, line, wait
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session
from tests.reservation.test_guards import failures, is_balanced, meet
from tests.reservation.test_waitlist_waiting import event, held, join, outcome_of

__all__ = ["event", "held", "join", "outcome_of"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another"),
]
NOBODY_WAITS = "event_nobody_waits_if_called_off"


@pytest.fixture
def without_condition(monkeypatch):
    """Remove NOT_CANCELLED from the updates that book and join, but not from the checks before them."""
    monkeypatch.setattr(event_models, "BOOKABLE", event_models.NOT_STARTED & models.Q(seats_remaining__gt=0))
    monkeypatch.setattr(event_models, "JOINABLE", event_models.NOT_STARTED & models.Q(seats_remaining=0))
    booking_sql.statement.cache_clear()
    yield
    booking_sql.statement.cache_clear()


@pytest.mark.usefixtures("either_body", "without_condition")
def test_booking_without_the_condition_books_after_the_call_off(outcome_of, carol, event):
    outcome_of(partial(Reservation.objects.book, user=carol, event_id=event.pk), event.cancel)

    assert holders(event) == ["carol"]


@pytest.mark.usefixtures("without_condition")
def test_joining_without_the_condition_is_stopped_by_the_constraint(outcome_of, join, held, event):
    outcome = outcome_of(join, event.cancel)

    assert isinstance(outcome, IntegrityError)
    assert violates(outcome, Event, NOBODY_WAITS)


@pytest.mark.usefixtures("without_condition")
def test_joining_without_condition_and_constraint_waits_for_a_called_off_event(outcome_of, join, held, event, without):
    without(Event, NOBODY_WAITS)

    outcome_of(join, event.cancel)

    assert line(event) == ["carol"]


def test_calling_off_without_the_lock_misses_who_joins(outcome_of, join, held, event, monkeypatch):
    """The list is removed before the update waits for the event's lock."""

    def remove_first(events, reason):
        waitlist.remove_lists([event.pk])
        return models.QuerySet.update(events, cancelled_at=Now(), cancellation_reason=reason, waiting=0)

    monkeypatch.setattr(EventQuerySet, "lock", lambda events: list(events.values_list("pk", flat=True)))
    monkeypatch.setattr(EventQuerySet, "set_cancelled", remove_first)
    monkeypatch.setattr(event_models.events_called_off, "send", lambda sender, **kwargs: None)

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            event.refresh_from_db(from_queryset=Event.objects.select_for_update(no_key=True))
            outcome = thread.submit(race, [partial(Event.objects.cancel, [event.pk])])
            wait_for_blocked_session()
            join()
        outcome.result(RACE_TIMEOUT)

    assert line(event) == ["carol"]
    assert not is_balanced()


def test_promoting_without_the_condition_promotes_at_a_called_off_event(held, event, carol, monkeypatch, without):
    without(Event, NOBODY_WAITS)
    wait(event, carol)
    monkeypatch.setattr(waitlist, "NOT_CANCELLED", models.Q(pk__isnull=False))
    models.QuerySet.update(Event.objects.all(), cancelled_at=Now())

    held.cancel()

    assert holders(event) == ["carol"]


def test_cancelling_without_the_condition_cancels_who_is_checked_in(outcome_of, held, event, monkeypatch):
    delete = booking._delete

    def delete_anyway(reservations):
        return delete(Reservation.objects.filter(pk=held.pk))

    monkeypatch.setattr(booking, "_delete", delete_anyway)

    outcome_of(held.cancel, partial(Reservation.objects.check_in, event.pk, held.pk))

    assert holders(event) == []


def test_checking_in_without_the_condition_gives_two_times(outcome_of, held, event, monkeypatch):
    monkeypatch.setattr(
        door,
        "_update",
        lambda rows, time: models.QuerySet.update(Reservation.objects.filter(pk=held.pk), checked_in_at=time),
    )
    scan = partial(Reservation.objects.check_in, event.pk, held.pk)
    times = []

    later = outcome_of(scan, lambda: times.append(scan().checked_in_at))

    assert later.checked_in_at > times[0]


def test_checking_in_without_the_lock_checks_in_after_the_call_off(held, event, monkeypatch):
    together = meet(2)

    def read(manager, event_id):
        found = manager.get(pk=event_id)
        together()
        # The organizer calls the event off here.
        together()
        return found

    monkeypatch.setattr(EventManager, "lock_briefly", read)

    def call_off():
        together()
        event.cancel()
        together()

    race([partial(Reservation.objects.check_in, event.pk, held.pk), call_off])

    reservation = Reservation.objects.select_related("event").get()
    assert reservation.checked_in_at > reservation.event.cancelled_at


def test_checking_in_row_first_deadlocks_with_cancelling(held, event, monkeypatch, booking_lock_timeout):
    # Longer than PostgreSQL's deadlock_timeout.
    booking_lock_timeout("30s")
    together = meet(2)
    free_seat = EventManager.free_seat

    def free_seat_and_meet(manager, event_id):
        freed = free_seat(manager, event_id)
        together()
        return freed

    @transaction.atomic
    def check_in_row_first():
        models.QuerySet.update(Reservation.objects.filter(pk=held.pk), checked_in_at=ClockTimestamp())
        together()
        Event.objects.lock_briefly(event.pk)

    monkeypatch.setattr(EventManager, "free_seat", free_seat_and_meet)

    outcomes = race([held.cancel, check_in_row_first])

    [deadlock] = failures(outcomes, OperationalError)
    assert deadlock.__cause__.sqlstate == "40P01"


def test_an_outdated_save_would_undo_the_call_off(held, event, monkeypatch):
    stale = Event.objects.get()
    monkeypatch.setattr(Event, "save", models.Model.save)
    event.cancel()

    stale.save()

    assert not Event.objects.get().is_cancelled


def test_calling_off_without_removing_the_waiting_list_unbalances_the_ledger(held, event, carol, monkeypatch):
    wait(event, carol)
    monkeypatch.setattr(event_models.events_called_off, "send", lambda sender, **kwargs: None)

    event.cancel()

    assert line(event) == ["carol"]
    assert not is_balanced()
