"""The connection to PostgreSQL."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from django.db.backends.postgresql import base

from reservation.exceptions import AlreadyReserved
from reservation.models import Reservation
from tests.ledger import assert_balanced

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's backend")


@pytest.fixture
def asked(monkeypatch):
    """Count how often a health check asks the server."""
    calls = []

    def is_usable(wrapper):
        calls.append(wrapper)
        return True

    # Also where another test's database is SQLite: Django's own class is there in any case.
    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", is_usable)
    return calls


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_silent_connection_is_used_without_asking(asked):
    connection.ensure_connection()

    assert connection.is_usable()
    assert asked == []


@on_postgresql
def test_server_is_asked_within_a_transaction(asked, event):
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
    assert any("INSERT INTO reservation_reservation" in statement for statement in prepared)
    assert not any("pg_prepared_statements" in statement for statement in prepared)


@pytest.fixture
def other_session():
    """A session beside the test's, as somebody else's would be."""
    other = connection.copy()
    with other.cursor() as cursor:
        yield cursor
    other.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_plan_is_made_anew_when_a_column_has_changed(bob, carol, event, other_session):
    Reservation.objects.book(user=bob, event_id=event.pk)
    other_session.execute("ALTER TABLE event_event ALTER COLUMN title TYPE varchar(300)")
    try:
        assert Reservation.objects.book(user=carol, event_id=event.pk).event.seats_remaining == 8
    finally:
        other_session.execute("ALTER TABLE event_event ALTER COLUMN title TYPE varchar(200)")


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("somebody", "refusal", "plans"), [("bob", AlreadyReserved, 1), ("nobody", IntegrityError, 0)])
def test_bookings_that_come_to_nothing_leave_no_plans_behind(bob, event, somebody, refusal, plans):
    """A refusal keeps its plan, to be used again; psycopg knows of none whose first run failed."""
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
def test_booking_belongs_to_a_transaction_that_is_managed_by_hand(bob, event):
    connection.set_autocommit(False)
    try:
        Reservation.objects.book(user=bob, event_id=event.pk)
        connection.rollback()
    finally:
        connection.set_autocommit(True)

    assert not Reservation.objects.exists()
    assert_balanced()
