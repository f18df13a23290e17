"""The connection to PostgreSQL."""

import pytest
from django.db import connection
from django.db.backends.postgresql import base

from reservation.models import Reservation

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
def test_booking_is_planned_once_for_a_connection(bob, event):
    Reservation.objects.book(user=bob, event_id=event.pk)

    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        prepared = [statement for (statement,) in cursor.fetchall()]
    assert any("INSERT INTO reservation_reservation" in statement for statement in prepared)
    assert not any("pg_prepared_statements" in statement for statement in prepared)
