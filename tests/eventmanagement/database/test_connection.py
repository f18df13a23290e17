"""The connection to PostgreSQL."""

import time

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.backends.postgresql import base
from psycopg.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName

from event.models import Event
from eventmanagement.database.errors import is_unavailable, lift_time_limit
from eventmanagement.database.postgresql import Prepared
from reservation.exceptions import AlreadyReserved
from reservation.models import Reservation
from tests.conftest import LONG
from tests.ledger import assert_balanced, seats_left
from tests.races import RACE_TIMEOUT

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="tests the PostgreSQL backend")


@pytest.fixture
def asked(monkeypatch):
    """Record the health checks that query the server."""
    calls = []

    def is_usable(wrapper):
        calls.append(wrapper)
        return True

    # Patch Django's own class: it exists even if the test database is SQLite.
    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", is_usable)
    return calls


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_idle_connection_needs_no_health_query(asked):
    connection.ensure_connection()

    assert connection.is_usable()
    assert asked == []


@on_postgresql
def test_health_query_runs_within_transaction(asked, event):
    assert connection.is_usable()
    assert len(asked) == 1


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_connection_that_the_server_closed_is_not_usable():
    connection.ensure_connection()
    ours = connection.connection.info.backend_pid
    with connection.copy().cursor() as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [ours])
        administrator.connection.close()

    assert not connection.is_usable()
    connection.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_booking_is_planned_once_for_a_connection(bob, event):
    Reservation.objects.book(user=bob, event_id=event.pk)

    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        prepared = [statement for (statement,) in cursor.fetchall()]
    assert any('INSERT INTO "reservation_reservation"' in statement for statement in prepared)
    assert not any("pg_prepared_statements" in statement for statement in prepared)


@pytest.fixture
def other_session():
    """A second database session."""
    other = connection.copy()
    with other.cursor() as cursor:
        yield cursor
    other.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_statement_is_prepared_again_after_column_change(bob, carol, event, other_session):
    Reservation.objects.book(user=bob, event_id=event.pk)
    other_session.execute("ALTER TABLE event_event ALTER COLUMN title TYPE varchar(300)")
    try:
        assert Reservation.objects.book(user=carol, event_id=event.pk).event.seats_remaining == 8
    finally:
        other_session.execute("ALTER TABLE event_event ALTER COLUMN title TYPE varchar(200)")


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("second", [FeatureNotSupported, InvalidSqlStatementName, DuplicatePreparedStatement])
def test_query_runs_unprepared_if_preparing_it_again_fails(event, monkeypatch, second):
    """As behind PgBouncer, which may run the query on a server connection that has other prepared statements."""

    def execute(cursor, query, params=None, *, prepare=None, **options):
        if isinstance(query, Prepared) and prepare:
            raise errors.pop(0)
        return original(cursor, query, params, prepare=prepare, **options)

    errors = [FeatureNotSupported(), second()]
    original = base.ServerBindingCursor.execute
    connection.ensure_connection()
    monkeypatch.setattr(base.ServerBindingCursor, "execute", execute)

    assert [Event.objects.read(event.pk).pk for _ in range(2)] == [event.pk] * 2
    assert errors == []
    connection.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("somebody", "refusal", "plans"), [("bob", AlreadyReserved, 1), ("nobody", IntegrityError, 0)])
def test_refused_bookings_leak_no_prepared_statements(bob, event, somebody, refusal, plans):
    """A refused booking keeps its prepared statement. psycopg forgets one whose first execution failed."""
    Reservation.objects.book(user=bob, event_id=event.pk)
    connection.close()
    user = {"bob": bob, "nobody": User(pk=-1)}[somebody]

    for _ in range(3):
        with pytest.raises(refusal):
            Reservation.objects.book(user=user, event_id=event.pk)

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%INSERT INTO%%'")
        assert cursor.fetchone() == (plans,)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_lost_connection_raises_original_error(event, other_session):
    Event.objects.read(event.pk)
    other_session.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])

    with pytest.raises(DatabaseError) as lost:
        Event.objects.read(event.pk)

    assert lost.value.__cause__.sqlstate == "57P01"
    connection.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_booking_belongs_to_a_transaction_that_is_managed_by_hand(bob, event):
    connection.set_autocommit(False)
    try:
        Reservation.objects.book(user=bob, event_id=event.pk)
        connection.rollback()
    finally:
        connection.set_autocommit(True)

    assert not Reservation.objects.exists()
    assert_balanced()


@pytest.fixture
def idle_until_closed(other_session):
    """Return a function that waits until the server has closed this thread's connection."""

    def wait():
        ours = connection.connection.info.backend_pid
        deadline = time.monotonic() + RACE_TIMEOUT
        while time.monotonic() < deadline:
            other_session.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [ours])
            if other_session.fetchone() is None:
                return
        raise TimeoutError("the connection is still there")

    return wait


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stops_before", ["save", "delete"])
def test_idle_transaction_is_ended_and_connection_recovers(
    as_user, alice, event, idle_until_closed, monkeypatch, stops_before
):
    write = getattr(Event, stops_before)

    def stop_and_write(event, **options):
        idle_until_closed()
        return write(event, **options)

    def send():
        return client.delete(address) if stops_before == "delete" else client.patch(address, {"capacity": 20})

    client, address = as_user(alice), LONG.event(event)
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '5ms'")

    with monkeypatch.context() as patch:
        patch.setattr(Event, stops_before, stop_and_write)
        stopped = send()

    assert stopped.status_code == 503
    assert stopped.json()["code"] == "unavailable"
    assert seats_left(event) == 10
    assert send().status_code in (200, 204)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_transaction_that_stops_before_its_commit_is_unavailable(event, idle_until_closed):
    def stop_before_the_commit():
        with connection.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = '5ms'")
        with transaction.atomic():
            Event.objects.update(capacity=20)
            idle_until_closed()

    with pytest.raises(DatabaseError) as ended:
        stop_before_the_commit()

    assert is_unavailable(ended.value)
    assert seats_left(event) == 10


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_migration_has_no_timeouts():
    with connection.schema_editor() as editor, connection.cursor() as cursor:
        lift_time_limit(None, editor)
        cursor.execute(
            "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
        )
        assert cursor.fetchone() == ("0", "0")


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_limits_hold_in_every_session():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')")
        assert cursor.fetchone() == ("3s", "15s")
