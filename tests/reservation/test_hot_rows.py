"""An event whose row stays locked: how long bookings wait for the lock, and how many wait at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import Exists, F

from event.exceptions import SoldOut
from event.models import EVENT_LOCK_BREAKER, Event
from eventmanagement.database.errors import Unavailable, is_lock_timeout
from eventmanagement.database.queries import capture
from reservation import booking, booking_sql
from reservation.exceptions import AlreadyReserved
from reservation.models import Reservation
from tests.conftest import LONG
from tests.ledger import assert_balanced, seats_left, sell_out
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("either_body")]

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the whole database")


def book(person, event):
    return Reservation.objects.book(user=person, event_id=event.pk)


def book_in_a_transaction(person, event):
    with transaction.atomic():
        return book(person, event)


def book_in_two_statements(person, event):
    return Reservation.objects.create(user=person, event=event)


def cancel(person, event):
    return Reservation.objects.get(event=event).cancel()


def patient(call):
    """Make a call in a session without a lock timeout, and assert that the call does not change that."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
        cursor.execute("SET statement_timeout = '10s'")
    try:
        return call()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("0",)


@pytest.fixture
def held(event):
    """Keep the event's row locked within a block."""

    @contextmanager
    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM event_event WHERE id = %s FOR UPDATE", [event.pk])
            yield cursor

    return hold


@on_postgresql
@pytest.mark.parametrize("wait", [book, book_in_a_transaction, book_in_two_statements, cancel])
def test_booking_lock_timeout_overrides_session(bob, carol, event, held, booking_lock_timeout, wait):
    booking_lock_timeout("20ms")
    book(carol, event)

    with held():
        [outcome] = race([partial(patient, partial(wait, bob, event))])

    assert isinstance(outcome, OperationalError)
    assert is_lock_timeout(outcome)
    assert seats_left(event) == 9
    assert_balanced()


@on_postgresql
@pytest.mark.parametrize("act", [book, book_in_a_transaction, book_in_two_statements, cancel])
def test_session_keeps_its_own_limit(bob, carol, event, act):
    book(carol, event)

    [outcome] = race([partial(patient, partial(act, bob, event))])

    assert not isinstance(outcome, Exception)


def take_seat_sql():
    """Return the SQL of the conditional update that both implementations of booking use."""
    seats = Event.objects.seats_to_take(-1).filter(~Exists(booking.held_by(-2)))
    return capture(lambda: seats.move_seats(F("seats_remaining") - 1), "default").sql


@on_postgresql
def test_booking_is_still_the_conditional_update_of_the_orm(event):
    update = take_seat_sql()

    assert 'SET "seats_remaining" = ("event_event"."seats_remaining" - %s)' in update
    assert '"event_event"."seats_remaining" > %s' in update
    assert "set_config('lock_timeout', %s, true) IS NOT NULL" in update
    assert update in booking_sql.statement().sql


@pytest.mark.skipif(connection.vendor == "postgresql", reason="SQLite has no such limit")
def test_sqlite_sets_no_lock_timeout():
    assert "lock_timeout" not in take_seat_sql()


def time_out(event):
    """Simulate a lock timeout for the event."""
    failed = OperationalError("canceling statement due to lock timeout")
    failed.__cause__ = type("Cause", (Exception,), {"sqlstate": "55P03"})()
    with suppress(OperationalError), EVENT_LOCK_BREAKER.guard(event.pk):
        raise failed


REQUESTS = {
    "book": lambda event, reservation, alice, bob: alice.post(LONG.reservations, {"event_id": event.pk}),
    "cancel": lambda event, reservation, alice, bob: bob.delete(LONG.reservation(reservation)),
    "change": lambda event, reservation, alice, bob: alice.patch(LONG.event(event), {"capacity": 12}),
    "delete": lambda event, reservation, alice, bob: alice.delete(LONG.event(event)),
}


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
def test_requests_that_would_wait_are_refused_while_one_waits(as_user, alice, bob, event, event_of, request_of):
    reservation, other = book(bob, event), event_of(alice)
    elsewhere = book(bob, other)
    clients = as_user(alice), as_user(bob)
    time_out(event)

    with EVENT_LOCK_BREAKER.guard(event.pk):
        refused = request_of(event, reservation, *clients)
        untouched = request_of(other, elsewhere, *clients)

    assert refused.status_code == 503
    assert refused.json()["code"] == "unavailable"
    assert int(refused["Retry-After"]) > 0
    assert untouched.status_code in (200, 201, 204)
    assert request_of(event, reservation, *clients).status_code in (200, 201, 204)
    assert_balanced()


@pytest.mark.parametrize("wait", [book, book_in_a_transaction, book_in_two_statements, cancel])
def test_every_way_to_wait_is_refused_while_one_waits(bob, carol, event, wait):
    book(carol, event)
    time_out(event)

    with EVENT_LOCK_BREAKER.guard(event.pk), pytest.raises(Unavailable):
        wait(bob, event)

    assert seats_left(event) == 9
    assert_balanced()


def is_open(event):
    """Return whether the event's circuit breaker is open."""
    return event.pk in EVENT_LOCK_BREAKER._open


def test_reads_are_never_refused(as_user, bob, event):
    book(bob, event)
    time_out(event)

    with EVENT_LOCK_BREAKER.guard(event.pk):
        statuses = [as_user(bob).get(path).status_code for path in (LONG.events, LONG.event(event), LONG.reservations)]

    assert statuses == [200, 200, 200]


def test_successful_booking_closes_breaker(bob, event):
    time_out(event)

    book(bob, event)

    assert not is_open(event)


def test_sold_out_event_needs_no_lock(bob, event, either_body):
    """Booking in a transaction does not wait either, because it checks before it locks."""
    sell_out(event)
    time_out(event)

    with pytest.raises(SoldOut):
        book(bob, event)

    assert is_open(event) == (either_body == "in a transaction")


@on_postgresql
def test_refusal_without_lock_wait_keeps_breaker_open(bob, event):
    """Otherwise, requests of users who have a seat would close the breaker while the row is still locked."""
    book(bob, event)
    time_out(event)

    with pytest.raises(AlreadyReserved):
        book(bob, event)

    assert is_open(event)


@on_postgresql
def test_crowd_at_a_locked_event(people, alice, event, event_of, held, booking_lock_timeout):
    """One request waits, and the others are refused without a query. After the lock is released, all succeed."""
    crowd, other = people(8), event_of(alice)
    refused, statements = threading.Semaphore(0), []

    def count(execute, sql, parameters, many, context):
        statements.append(sql)
        return execute(sql, parameters, many, context)

    def book_and_count(person):
        with connection.execute_wrapper(count):
            try:
                return book(person, event)
            except Unavailable:
                refused.release()
                raise

    with ThreadPoolExecutor(1) as thread, held() as cursor:
        booking_lock_timeout("20ms")
        [timed_out] = race([partial(book, crowd[0], event)])
        assert is_lock_timeout(timed_out)

        booking_lock_timeout("30s")
        outcomes = thread.submit(race, [partial(book_and_count, person) for person in crowd])
        for _ in crowd[1:]:
            assert refused.acquire(timeout=RACE_TIMEOUT)
        wait_for_blocked_session()
        [elsewhere] = race([partial(book, crowd[0], other)])
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        waiting = cursor.fetchone()[0]
    outcomes = outcomes.result(RACE_TIMEOUT)

    assert len([sql for sql in statements if "UPDATE" in sql]) == 1
    assert waiting == 1
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 7
    [booked] = [outcome for outcome in outcomes if isinstance(outcome, Reservation)]
    assert isinstance(elsewhere, Reservation)
    assert not any(
        isinstance(outcome, Exception)
        for outcome in race(partial(book, person, event) for person in crowd if person != booked.user)
    )
    assert seats_left(event) == 2
    assert_balanced()
