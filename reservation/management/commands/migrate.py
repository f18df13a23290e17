from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from eventmanagement.database.errors import disable_timeouts

# The key of the advisory lock. Any number that nothing else uses.
LOCK = 0x3197A7E


class Command(migrate.Command):
    """Django's command. On PostgreSQL, if another ``migrate`` is running, it first waits until that has finished."""

    def handle(self, *args: Any, **options: Any) -> None:
        def tell() -> None:
            self.stdout.write("Waiting for another migrate to finish...")

        with one_at_a_time(options["database"], tell):
            super().handle(*args, **options)


@contextmanager
def one_at_a_time(alias: str, on_wait: Callable[[], object]) -> Iterator[None]:
    """Hold an advisory lock of the database during the block. Calls ``on_wait`` if another session has the lock.

    Then waits up to an hour for it. A transaction on a separate connection holds the lock, because PgBouncer in
    transaction mode does not support session locks.
    """
    if connections[alias].vendor != "postgresql":
        yield
        return
    own = connections[alias].copy()
    # With a pool of one connection, the migrations would wait for this one.
    own.settings_dict["OPTIONS"].pop("pool", None)
    with closing(own), own.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SET LOCAL lock_timeout = '1h'")
        disable_timeouts(own)
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if cursor.fetchone() == (False,):
            on_wait()
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        yield
