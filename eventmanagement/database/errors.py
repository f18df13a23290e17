"""How long the database may take, and what its errors mean, by its own codes rather than by its prose."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps.registry import Apps
from django.conf import settings
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection, models, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# SQLSTATE classes and codes, from PostgreSQL's appendix A: no connection, not enough resources,
# an operator's intervention (shutdown, a cancelled statement), a rollback that a retry may spare.
UNAVAILABLE_CLASSES = {"08", "53", "57", "40"}
# A lock that was not free in time.
LOCK_TIMED_OUT = "55P03"
# A write on a server that was demoted to a replica; a transaction that was idle for too long, whose connection
# the server has closed.
UNAVAILABLE_STATES = {LOCK_TIMED_OUT, "25006", "25P03"}
SQLITE_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
}
# Until the transaction ends: as SET LOCAL, but both by one statement.
LIMIT_READS = (
    "SELECT set_config('statement_timeout', %s, true), set_config('max_parallel_workers_per_gather', '0', true)"
)


class Unavailable(Exception):
    """The work was given up because something that it needs is busy: 503 on every path, nothing happened."""


def is_unavailable(error: Exception) -> bool:
    """Say whether the database is away or busy, rather than asked for something it can't do."""
    if isinstance(error, InterfaceError | Unavailable):
        return True
    if not isinstance(error, DatabaseError):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        # The low byte is the primary code; the rest details it.
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in SQLITE_UNAVAILABLE
    state = getattr(cause, "sqlstate", None)
    if state is None:
        # The client library's own errors carry no state: it lost the server or never reached it.
        return isinstance(error, OperationalError)
    return state in UNAVAILABLE_STATES or state[:2] in UNAVAILABLE_CLASSES


def is_lock_timeout(error: DatabaseError) -> bool:
    """Say whether PostgreSQL gave up waiting for a lock."""
    return getattr(error.__cause__, "sqlstate", None) == LOCK_TIMED_OUT


def violates(error: IntegrityError, model: type[models.Model], name: str) -> bool:
    """Say whether the constraint of this model and name is the one that failed."""
    cause: Any = error.__cause__
    if isinstance(cause, sqlite3.Error):
        # SQLite calls a check by its name, a unique constraint by its columns.
        [constraint] = (constraint for constraint in model._meta.constraints if constraint.name == name)
        fields = (model._meta.get_field(field) for field in getattr(constraint, "fields", ()))
        # A constraint has no fields without columns.
        columns = ", ".join(f"{model._meta.db_table}.{field.column}" for field in fields)  # type: ignore[union-attr]
        return str(cause).endswith(f"failed: {columns or name}")
    violated: str | None = cause.diag.constraint_name
    return violated == name


@contextmanager
def read_timeout() -> Iterator[None]:
    """Give each statement inside READ_TIMEOUT and one core; past it, PostgreSQL cancels it: 503.

    The limits belong to a transaction, because behind a pooler those of a session would reach
    the requests of others. SQLite has no such limits, and a transaction there would keep others
    from writing.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LIMIT_READS, [settings.READ_TIMEOUT])
        yield


def lift_time_limit(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Let a migration take its time (``RunPython``): the limits on statements and pauses are for requests."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET LOCAL statement_timeout = 0")
        schema_editor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
