"""The outcome of a booking that waits for the event's lock, depending on what the lock's holder does."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from event.exceptions import EventStarted, SoldOut
from event.models import Event
from eventmanagement.database.queries import Parameter
from reservation import booking, booking_sql
from reservation.exceptions import AlreadyReserved
from reservation.models import Reservation
from tests.ledger import assert_balanced, begin, seats_left
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("either_body"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another"),
]


@pytest.fixture
def event(alice, event_of):
    return event_of(alice, capacity=1)


@pytest.fixture
def book(bob, event):
    return lambda: Reservation.objects.book(user=bob, event_id=event.pk)


@pytest.fixture
def outcome_after(book, event):
    """Let bob's booking wait while the lock's holder makes a change. Returns what the booking returned or raised."""

    def outcome_after(change):
        with ThreadPoolExecutor(1) as thread:
            with transaction.atomic():
                event.lock()
                outcome = thread.submit(race, [book])
                wait_for_blocked_session()
                change()
            return outcome.result(RACE_TIMEOUT)[0]

    return outcome_after


def test_last_seat_goes_to_somebody_else(outcome_after, carol, event):
    outcome = outcome_after(lambda: Reservation.objects.create(user=carol, event=event))

    assert isinstance(outcome, SoldOut)


@pytest.mark.parametrize("capacity", [1, 2])
def test_seat_goes_to_the_same_person(outcome_after, bob, event, capacity):
    event.resize(capacity)

    outcome = outcome_after(lambda: Reservation.objects.create(user=bob, event=event))

    assert isinstance(outcome, AlreadyReserved)
    assert outcome.data["reservation"] == Reservation.objects.get().pk
    assert_balanced()


@pytest.mark.parametrize("capacity", [1, 2])
def test_persons_own_seat_is_taken_and_given_back_before_the_reason_is_asked(
    outcome_after, bob, event, capacity, monkeypatch
):
    event.resize(capacity)

    try_to_book, tries = booking.body(), []

    def cancel_before_the_second(user, event_id):
        tries.append(event_id)
        if len(tries) == 2:
            Reservation.objects.get().cancel()
        return try_to_book(user, event_id)

    monkeypatch.setattr(booking, "body", lambda: cancel_before_the_second)

    outcome = outcome_after(lambda: Reservation.objects.create(user=bob, event=event))

    assert outcome == Reservation.objects.get()
    assert seats_left(event) == capacity - 1


def test_event_is_deleted(outcome_after, event):
    assert isinstance(outcome_after(event.delete), Event.DoesNotExist)


def test_event_is_moved_into_the_past(outcome_after, event):
    assert isinstance(outcome_after(lambda: begin(event)), EventStarted)


def test_capacity_is_raised(outcome_after, event):
    booked = outcome_after(lambda: event.resize(3))

    assert booked.event.seats_remaining == 2
    assert_balanced()


def test_created_at_is_after_lock_wait(outcome_after, event):
    moments = []

    def look_at_the_clock():
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            moments.extend(cursor.fetchone())

    assert outcome_after(look_at_the_clock).created_at > moments[0]


@pytest.mark.parametrize("close", [lambda event: None, begin])
def test_already_reserved_does_not_wait(book, event, close):
    """Otherwise the seat could be cancelled during the wait, and the error would contain an outdated reservation."""
    event.resize(2)
    held = book()
    close(event)

    with transaction.atomic(), ThreadPoolExecutor(1) as thread:
        event.lock()
        [outcome] = thread.submit(race, [book]).result(RACE_TIMEOUT)

    assert outcome.data["reservation"] == held.pk


@pytest.mark.parametrize(("holder", "capacity", "reason"), [("bob", 2, AlreadyReserved), ("carol", 1, SoldOut)])
def test_refusal_writes_nothing(request, book, event, holder, capacity, reason):
    event.resize(capacity)
    Reservation.objects.book(user=request.getfixturevalue(holder), event_id=event.pk)

    with transaction.atomic(), connection.cursor() as cursor:
        with pytest.raises(reason):
            book()
        cursor.execute("SELECT pg_current_xact_id_if_assigned()")
        assert cursor.fetchone() == (None,)


def test_own_reservation_is_not_searched_by_event(bob, event):
    """Not even if only the event's reservations have an index."""
    statement = booking_sql.statement()
    parameters = [1 if isinstance(each, Parameter) else each for each in statement.parameters]

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("DROP INDEX reservation_by_user")
        cursor.execute("ALTER TABLE reservation_reservation DROP CONSTRAINT reservation_once_per_user_and_event")
        cursor.execute(f"EXPLAIN {statement.sql}", parameters)
        plan = "\n".join(line for (line,) in cursor.fetchall())
        transaction.set_rollback(True)

    assert "Scan on reservation_reservation" in plan
    assert "reservation_by_event" not in plan
