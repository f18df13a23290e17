"""What joining, leaving, cancelling and deleting do after a wait for the event's lock.

It depends on what the lock's holder has done.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from event.exceptions import EventStarted, SeatsAvailable, SoldOut
from event.models import EVENT_LOCK_BREAKER, Event
from eventmanagement.database.errors import Unavailable
from reservation.exceptions import AlreadyCancelled, AlreadyLeft, AlreadyReserved, AlreadyWaiting
from reservation.models import Reservation, WaitlistEntry
from reservation.waitlist import reasons_against_joining
from tests.ledger import assert_balanced, begin, book, finish, holders, line, wait
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session
from tests.reservation.test_hot_rows import patient, time_out

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another"),
]


@pytest.fixture
def event(alice, event_of):
    return event_of(alice, capacity=1)


@pytest.fixture
def held(bob, event):
    """Bob's reservation of the only seat."""
    return book(event, bob)[0]


@pytest.fixture
def outcome_of(event):
    """Let a call wait while the lock's holder makes a change. Returns what the call returned or raised."""

    def outcome_of(call, change):
        with ThreadPoolExecutor(1) as thread:
            with transaction.atomic():
                Event.objects.filter(pk=event.pk).lock()
                outcome = thread.submit(race, [call])
                wait_for_blocked_session()
                change()
            return outcome.result(RACE_TIMEOUT)[0]

    return outcome_of


@pytest.fixture
def join(carol, event):
    return partial(WaitlistEntry.objects.join, user=carol, event_id=event.pk)


def test_seat_becomes_free_while_joining(outcome_of, join, held, event):
    assert isinstance(outcome_of(join, held.cancel), SeatsAvailable)

    assert line(event) == []
    assert_balanced()


def test_capacity_is_raised_while_joining(outcome_of, join, held, event):
    assert isinstance(outcome_of(join, lambda: event.resize(2)), SeatsAvailable)

    assert_balanced()


def test_same_person_joins_while_joining(outcome_of, join, held):
    outcome = outcome_of(join, join)

    assert isinstance(outcome, AlreadyWaiting)
    assert outcome.data["waitlist_entry"] == WaitlistEntry.objects.get().pk
    assert_balanced()


def test_same_person_is_promoted_while_joining(outcome_of, join, held, event):
    """The update matches, because the event is full again. Only a later statement sees the reservation."""

    def join_and_be_promoted():
        join()
        held.cancel()

    outcome = outcome_of(join, join_and_be_promoted)

    assert isinstance(outcome, AlreadyReserved)
    assert outcome.data["reservation"] == Reservation.objects.get().pk
    assert (holders(event), line(event)) == (["carol"], [])
    assert_balanced()


def test_somebody_else_joins_while_joining(outcome_of, join, held, event, people):
    place = outcome_of(join, lambda: wait(event, *people(2)))

    assert (place.position, place.event.waiting) == (3, 3)
    assert line(event) == ["person0", "person1", "carol"]
    assert_balanced()


def test_event_starts_while_joining(outcome_of, join, held, event):
    assert isinstance(outcome_of(join, lambda: begin(event)), EventStarted)


def test_event_is_deleted_while_joining(outcome_of, join, held, event):
    assert isinstance(outcome_of(join, event.delete), Event.DoesNotExist)


def test_created_at_is_after_lock_wait(outcome_of, join, held):
    moments = []

    def look_at_the_clock():
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            moments.extend(cursor.fetchone())

    assert outcome_of(join, look_at_the_clock).created_at > moments[0]


@pytest.mark.parametrize("reason", [AlreadyReserved, AlreadyWaiting, SeatsAvailable, EventStarted])
def test_refusal_does_not_wait_and_writes_nothing(alice, bob, carol, event_of, reason):
    event = event_of(alice, capacity=2 if reason is SeatsAvailable else 1)
    book(event, bob)
    if reason is AlreadyWaiting:
        wait(event, carol)
    if reason is EventStarted:
        begin(event)
    person = bob if reason is AlreadyReserved else carol

    with transaction.atomic(), ThreadPoolExecutor(1) as thread:
        event.lock()
        join = partial(WaitlistEntry.objects.join, user=person, event_id=event.pk)
        [outcome] = thread.submit(race, [join]).result(RACE_TIMEOUT)

    assert isinstance(outcome, reason)
    with transaction.atomic(), connection.cursor() as cursor:
        with pytest.raises(reason):
            join()
        cursor.execute("SELECT pg_current_xact_id_if_assigned()")
        assert cursor.fetchone() == (None,)


def test_own_rows_are_not_searched_by_event(bob, event):
    """Not even if only the event's reservations and places have an index."""
    with CaptureQueriesContext(connection) as queries:
        reasons_against_joining(bob.pk, event.pk)

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for table in ("reservation", "waitlist"):
            cursor.execute(f"DROP INDEX {table}_by_user")
        cursor.execute("ALTER TABLE reservation_reservation DROP CONSTRAINT reservation_once_per_user_and_event")
        cursor.execute("ALTER TABLE reservation_waitlistentry DROP CONSTRAINT waitlist_once_per_user_and_event")
        cursor.execute(f"EXPLAIN {queries[0]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        transaction.set_rollback(True)

    assert "Scan on reservation_reservation" in plan
    assert "Scan on reservation_waitlistentry" in plan
    assert "_by_event" not in plan


def test_person_is_promoted_while_leaving(outcome_of, join, held, event, people):
    place = join()
    wait(event, *people(1))

    assert isinstance(outcome_of(place.leave, held.cancel), AlreadyLeft)

    assert (holders(event), line(event)) == (["carol"], ["person0"])
    assert_balanced()


def test_event_is_deleted_while_leaving(outcome_of, join, held, event):
    place = join()

    assert isinstance(outcome_of(place.leave, event.delete), AlreadyLeft)


def test_place_is_deleted_while_leaving(outcome_of, join, held, event, people):
    place = join()
    wait(event, *people(1))

    assert isinstance(outcome_of(place.leave, place.delete), AlreadyLeft)

    assert line(event) == ["person0"]
    assert_balanced()


def test_person_is_promoted_while_places_are_deleted(outcome_of, join, held, event, people):
    place = join()
    wait(event, *people(1))

    deleted = outcome_of(WaitlistEntry.objects.filter(pk=place.pk).delete, held.cancel)

    assert deleted == (0, {})
    assert (holders(event), line(event)) == (["carol"], ["person0"])
    assert_balanced()


def test_somebody_joins_while_cancelling(outcome_of, join, held, event):
    """The update of the cancellation no longer matches a row, because somebody waits now."""
    assert outcome_of(held.cancel, join) is None

    assert (holders(event), line(event)) == (["carol"], [])
    assert_balanced()


def test_everybody_leaves_while_cancelling(outcome_of, join, held, event):
    place = join()

    assert outcome_of(held.cancel, place.leave) is None

    assert holders(event) == []
    assert_balanced()


@pytest.mark.parametrize("happen", [begin, finish])
def test_event_starts_while_cancelling_for_somebody_who_waits(outcome_of, join, held, event, happen):
    join()

    assert isinstance(outcome_of(held.cancel, lambda: happen(event)), EventStarted)

    assert (holders(event), line(event)) == (["bob"], ["carol"])
    assert_balanced()


def test_seat_is_cancelled_while_cancelling_for_somebody_who_waits(outcome_of, join, held, event, people):
    join()
    wait(event, *people(1))

    assert isinstance(outcome_of(held.cancel, held.cancel), AlreadyCancelled)

    assert (holders(event), line(event)) == (["carol"], ["person0"])
    assert_balanced()


def test_seat_is_promoted_while_booking(outcome_of, join, held, event, people):
    """A newcomer who waits for the lock of a full event does not get the seat that is freed."""
    event.resize(2)
    newcomer, last = people(2)

    def fill_and_promote():
        book(event, last)
        join()
        held.cancel()

    outcome = outcome_of(partial(Reservation.objects.book, user=newcomer, event_id=event.pk), fill_and_promote)

    assert isinstance(outcome, SoldOut)
    assert holders(event) == ["person1", "carol"]
    assert_balanced()


def test_person_is_promoted_while_the_account_is_deleted(outcome_of, join, held, event, carol, people):
    """The deletion reads the user's reservations and places after the wait."""
    join()
    wait(event, *people(1))

    outcome_of(carol.delete, held.cancel)

    assert (holders(event), line(event)) == (["person0"], [])
    assert_balanced()


def test_place_of_the_next_person_disappears_while_cancelling(outcome_of, join, held, event, carol, people):
    join()
    wait(event, *people(1))

    outcome_of(held.cancel, carol.delete)

    assert (holders(event), line(event)) == (["person0"], [])
    assert_balanced()


@pytest.mark.parametrize("wait_for", ["join", "leave", "cancel"])
def test_wait_has_the_limit_of_a_booking(wait_for, join, held, event, people, settings):
    settings.BOOKING_LOCK_TIMEOUT = "20ms"
    [place] = wait(event, *people(1))
    call = {"join": join, "leave": place.leave, "cancel": held.cancel}[wait_for]

    with transaction.atomic():
        Event.objects.filter(pk=event.pk).lock()
        [outcome] = race([partial(patient, call)])

    assert outcome.__cause__.sqlstate == "55P03"
    assert_balanced()


@pytest.mark.parametrize("wait_for", ["join", "leave", "cancel"])
def test_requests_that_would_wait_are_refused_while_one_waits(wait_for, join, held, event, people):
    """The circuit breaker of the event's lock guards these requests too."""
    [place] = wait(event, *people(1))
    call = {"join": join, "leave": place.leave, "cancel": held.cancel}[wait_for]
    time_out(event)

    with EVENT_LOCK_BREAKER.guard(event.pk), pytest.raises(Unavailable):
        call()

    assert (holders(event), line(event)) == (["bob"], ["person0"])
