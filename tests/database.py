"""What tests need to know of the database and its queries."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from event.models import EventQuerySet

# The number of statements that read_timeout() adds on PostgreSQL within a test's transaction: a savepoint, set_config
# and the release of the savepoint.
READ_TIMEOUT_STATEMENTS = 3 if connection.vendor == "postgresql" else 0


def slowly(read: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a read so that it starts with a statement that takes one second on PostgreSQL."""

    def read_slowly(*args: Any, **options: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1)")
        return read(*args, **options)

    return read_slowly


def sql_of(migration: str) -> str:
    """Return the SQL of a migration of the event app."""
    output = StringIO()
    call_command("sqlmigrate", "event", migration, stdout=output)
    return output.getvalue()


def replace_list(monkeypatch: pytest.MonkeyPatch, function: Callable[[Any], Any]) -> None:
    """Call the function instead of the first query for a list of events, in REST framework and in the fast way."""
    monkeypatch.setattr(EventQuerySet, "count", function)
    monkeypatch.setattr("event.fast.FastEventMixin._first_page", lambda view, request: function(None))
