"""Timeouts for queries, and the classification of database errors by their error codes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps.registry import Apps
from django.conf import settings
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# SQLSTATE classes from appendix A of PostgreSQL's documentation: connection exception, insufficient resources,
# operator intervention (shutdown, statement timeout), transaction rollback (deadlock, serialization failure).
UNAVAILABLE_CLASSES = {"08", "53", "57", "40"}
# lock_not_available: a lock timeout.
LOCK_NOT_AVAILABLE = "55P03"
# 25006: read-only transaction, for example after the server was demoted to a replica.
# 25P03: the server closed the connection because its transaction was idle for too long.
UNAVAILABLE_SQLSTATES = {LOCK_NOT_AVAILABLE, "25006", "25P03"}
SQLITE_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
}
# Like SET LOCAL, but sets both parameters with one statement.
SET_READ_LIMITS = (
    "SELECT set_config('statement_timeout', %s, true), set_config('max_parallel_workers_per_gather', '0', true)"
)


class Unavailable(Exception):
    """The request was aborted because a resource is busy. It changed nothing; the response is 503 on every path."""


def is_unavailable(error: Exception) -> bool:
    """Return whether the error means that the database is unreachable or busy, so that a retry may succeed."""
    if isinstance(error, InterfaceError | Unavailable):
        return True
    if not isinstance(error, DatabaseError):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        # The low byte of an extended result code is the primary code.
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in SQLITE_UNAVAILABLE
    state = getattr(cause, "sqlstate", None)
    if state is None:
        # Errors raised by psycopg itself have no SQLSTATE: the connection was lost or could not be opened.
        return isinstance(error, OperationalError)
    return state in UNAVAILABLE_SQLSTATES or state[:2] in UNAVAILABLE_CLASSES


def is_connection_lost(error: Exception) -> bool:
    """Return whether the connection to PostgreSQL failed, so that a commit may or may not have happened."""
    # Only errors that the server reports have an SQLSTATE.
    return getattr(error.__cause__, "sqlstate", "") is None


def is_lock_timeout(error: DatabaseError) -> bool:
    """Return whether the error is a lock timeout of PostgreSQL."""
    return getattr(error.__cause__, "sqlstate", None) == LOCK_NOT_AVAILABLE


def violates(error: IntegrityError, model: type[models.Model], name: str) -> bool:
    """Return whether the error is a violation of this constraint of the model."""
    cause: Any = error.__cause__
    if isinstance(cause, sqlite3.Error):
        # SQLite's message has the name of a check constraint, but the columns of a unique constraint.
        [constraint] = (constraint for constraint in model._meta.constraints if constraint.name == name)
        fields = (model._meta.get_field(field) for field in getattr(constraint, "fields", ()))
        # A constraint has no fields without columns.
        columns = ", ".join(f"{model._meta.db_table}.{field.column}" for field in fields)  # type: ignore[union-attr]
        return str(cause).endswith(f"failed: {columns or name}")
    violated: str | None = cause.diag.constraint_name
    return violated == name


@contextmanager
def read_timeout() -> Iterator[None]:
    """Run the block in a transaction that limits each statement to READ_TIMEOUT and one core. On timeout: 503.

    The limits are set for the transaction, not for the session: behind a connection pooler, session settings would
    affect other requests. On SQLite this does nothing: SQLite has no such limits, and its transactions
    would block writers.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(SET_READ_LIMITS, [settings.READ_TIMEOUT])
        yield


@contextmanager
def without_timeouts() -> Iterator[None]:
    """Run the block of a management command in one transaction, without the time limits for requests.

    LOCK_TIMEOUT still applies.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        wait_timeout = connection.connection.wait_timeout
        disable_timeouts(connection)
        try:
            yield
        finally:
            connection.connection.wait_timeout = wait_timeout


def lift_time_limit(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Disable the time limits in a migration (for ``RunPython``)."""
    if schema_editor.connection.vendor == "postgresql":
        disable_timeouts(schema_editor.connection)


def disable_timeouts(database: BaseDatabaseWrapper) -> None:
    """Disable the limits for statements and idle transactions until the end of the current transaction on PostgreSQL.

    Also removes the limit of waits for a server that sends nothing. This lasts until the connection is closed, or until
    the caller sets ``wait_timeout``.
    """
    with database.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    database.connection.wait_timeout = None
