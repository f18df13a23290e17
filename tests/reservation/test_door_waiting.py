"""What requests do after a wait for the event's lock, whose holder calls the event off or checks somebody in."""

from functools import partial

import pytest
from django.db import connection, transaction

from event.exceptions import EventCancelled
from event.models import EVENT_LOCK_BREAKER, Event
from eventmanagement.database.errors import Unavailable
from reservation.exceptions import AlreadyReserved, CheckedIn
from reservation.models import Reservation
from tests.ledger import assert_balanced, begin, holders, line, wait
from tests.races import race
from tests.reservation.test_hot_rows import patient, time_out
from tests.reservation.test_waitlist_waiting import event, held, join, outcome_of

__all__ = ["event", "held", "join", "outcome_of"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another"),
]


@pytest.fixture
def take(carol, event):
    return partial(Reservation.objects.book, user=carol, event_id=event.pk)


@pytest.fixture
def scan(event, held):
    return partial(Reservation.objects.check_in, event.pk, held.pk)


@pytest.mark.usefixtures("either_body")
def test_event_is_called_off_while_booking(outcome_of, take, event):
    assert isinstance(outcome_of(take, event.cancel), EventCancelled)

    assert holders(event) == []
    assert_balanced()


@pytest.mark.usefixtures("either_body")
def test_event_is_called_off_and_starts_while_booking(outcome_of, take, event):
    def both():
        event.cancel()
        begin(event)

    assert isinstance(outcome_of(take, both), EventCancelled)


@pytest.mark.usefixtures("either_body")
def test_same_person_books_before_the_call_off_while_booking(outcome_of, take, event):
    def both():
        take()
        event.cancel()

    assert isinstance(outcome_of(take, both), AlreadyReserved)


def test_event_is_called_off_while_joining(outcome_of, join, held, event):
    assert isinstance(outcome_of(join, event.cancel), EventCancelled)

    assert line(event) == []
    assert_balanced()


def test_event_is_called_off_while_cancelling_for_somebody_who_waits(outcome_of, join, held, event):
    join()

    assert outcome_of(held.cancel, event.cancel) is None

    assert (holders(event), line(event)) == ([], [])
    assert_balanced()


def test_somebody_joins_while_calling_off(outcome_of, join, held, event):
    outcome_of(partial(Event.objects.cancel, [event.pk]), join)

    assert line(event) == []
    assert_balanced()


def test_event_is_called_off_while_calling_off(outcome_of, event):
    outcome = outcome_of(partial(Event.objects.cancel, [event.pk], "second"), partial(event.cancel, "first"))

    assert outcome == []
    assert Event.objects.get().cancellation_reason == "first"


def test_owner_is_checked_in_while_cancelling(outcome_of, held, scan, event):
    assert isinstance(outcome_of(held.cancel, scan), CheckedIn)

    assert holders(event) == ["bob"]
    assert_balanced()


def test_owner_is_checked_in_while_cancelling_for_somebody_who_waits(outcome_of, join, held, scan, event):
    join()

    assert isinstance(outcome_of(held.cancel, scan), CheckedIn)

    assert (holders(event), line(event)) == (["bob"], ["carol"])
    assert_balanced()


def test_owner_cancels_while_being_checked_in(outcome_of, held, scan):
    assert isinstance(outcome_of(scan, held.cancel), Reservation.DoesNotExist)


def test_event_is_called_off_while_checking_in(outcome_of, held, scan, event):
    assert isinstance(outcome_of(scan, event.cancel), EventCancelled)

    assert Reservation.objects.get().checked_in_at is None


def test_time_of_a_check_in_is_after_the_wait(outcome_of, held, scan):
    moments = []

    def look_at_the_clock():
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            moments.extend(cursor.fetchone())

    reservation = outcome_of(scan, look_at_the_clock)

    assert reservation.checked_in_at > moments[0]


@pytest.mark.parametrize("wait_for", ["check in", "undo"])
def test_wait_has_the_limit_of_a_booking(wait_for, scan, held, event, settings):
    settings.BOOKING_LOCK_TIMEOUT = "20ms"
    call = {"check in": scan, "undo": partial(Reservation.objects.undo_check_in, event.pk, held.pk)}[wait_for]

    with transaction.atomic():
        Event.objects.filter(pk=event.pk).lock()
        [outcome] = race([partial(patient, call)])

    assert outcome.__cause__.sqlstate == "55P03"


def test_requests_that_would_wait_are_refused_while_one_waits(scan, event):
    time_out(event)

    with EVENT_LOCK_BREAKER.guard(event.pk), pytest.raises(Unavailable):
        scan()

    assert Reservation.objects.get().checked_in_at is None


def test_place_is_removed_with_a_seat_that_is_promoted_first(outcome_of, join, held, event, people):
    """The call-off reads the list after the wait."""
    join()
    wait(event, *people(1))

    outcome_of(partial(Event.objects.cancel, [event.pk]), held.cancel)

    assert (holders(event), line(event)) == (["carol"], [])
    assert_balanced()
