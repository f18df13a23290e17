"""Check constraints are added to large tables in two migrations."""

import pytest
from django.db import connection

from event.models import Event
from tests.database import sql_of

# The migration that adds constraints, the one that checks the rows, and the names of the constraints.
MIGRATIONS = [
    ("0010", "0011", {"event_waiting_is_not_negative", "event_nobody_waits_beside_a_free_seat"}),
    ("0014", "0015", {"event_nobody_waits_if_called_off"}),
]
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such constraints")


@on_postgresql
@pytest.mark.parametrize(("first", "second", "names"), MIGRATIONS)
def test_first_migration_does_not_check_the_rows(first, second, names):
    sql = sql_of(first)

    assert all(f'ADD CONSTRAINT "{name}" CHECK' in sql for name in names)
    assert sql.count("NOT VALID") == len(names)


@on_postgresql
@pytest.mark.parametrize(("first", "second", "names"), MIGRATIONS)
def test_second_migration_checks_the_rows(first, second, names):
    assert all(f'VALIDATE CONSTRAINT "{name}"' in sql_of(second) for name in names)


@on_postgresql
def test_all_constraints_are_valid():
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint WHERE NOT convalidated")
        assert cursor.fetchall() == []


@pytest.mark.parametrize(("first", "second", "names"), MIGRATIONS)
def test_constraints_are_in_the_database(first, second, names):
    with connection.cursor() as cursor:
        assert connection.introspection.get_constraints(cursor, Event._meta.db_table).keys() >= names


# The columns that were added to large tables: whether they may be NULL, and their default.
COLUMNS = {
    ("event_event", "waiting"): ("NO", "0"),
    ("event_event", "cancelled_at"): ("YES", None),
    ("event_event", "cancellation_reason"): ("NO", "''::text"),
    ("reservation_reservation", "from_waitlist"): ("NO", "false"),
    ("reservation_reservation", "checked_in_at"): ("YES", None),
}


@on_postgresql
@pytest.mark.parametrize(("column", "expected"), COLUMNS.items())
def test_new_columns_have_no_default_or_a_constant_one(column, expected):
    """PostgreSQL adds them without rewriting the table, and an older release can still insert rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT is_nullable, column_default FROM information_schema.columns "
            "WHERE table_name = %s AND column_name = %s",
            column,
        )
        assert cursor.fetchone() == expected
