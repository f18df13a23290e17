"""Database constants for tests."""

from collections.abc import Callable
from typing import Any

from django.db import connection

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
