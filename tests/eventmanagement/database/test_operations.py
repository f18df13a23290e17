"""Check constraints are added to large tables in two migrations."""

import pytest
from django.db import connection

from event.models import Event
from tests.database import sql_of

NAMES = {"event_waiting_is_not_negative", "event_nobody_waits_beside_a_free_seat"}
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such constraints")


@on_postgresql
def test_first_migration_does_not_check_the_rows():
    sql = sql_of("0010")

    assert all(f'ADD CONSTRAINT "{name}" CHECK' in sql for name in NAMES)
    assert sql.count("NOT VALID") == 2


@on_postgresql
def test_second_migration_checks_the_rows():
    assert all(f'VALIDATE CONSTRAINT "{name}"' in sql_of("0011") for name in NAMES)


@on_postgresql
def test_all_constraints_are_valid():
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint WHERE NOT convalidated")
        assert cursor.fetchall() == []


def test_constraints_are_in_the_database():
    with connection.cursor() as cursor:
        assert connection.introspection.get_constraints(cursor, Event._meta.db_table).keys() >= NAMES


@on_postgresql
def test_new_columns_have_constant_defaults():
    """PostgreSQL adds them without rewriting the table, and an older release can still insert rows."""
    columns = [("event_event", "waiting"), ("reservation_reservation", "from_waitlist")]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, column_default FROM information_schema.columns "
            "WHERE column_name IN ('waiting', 'from_waitlist') ORDER BY 1"
        )
        assert cursor.fetchall() == [(*columns[0], "0"), (*columns[1], "false")]
