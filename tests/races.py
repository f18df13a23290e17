"""Races that are run: real threads with connections of their own, let go at the same moment."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

# Seconds until a race counts as hung.
LONGEST_RACE = 60


def race(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """Make all calls at once and give what each returned or raised, in their order."""
    calls = list(calls)
    barrier = threading.Barrier(len(calls), timeout=LONGEST_RACE)

    def run(call: Callable[[], Any]) -> Any:
        try:
            # Connected before the start, so that nobody is late.
            connection.ensure_connection()
            barrier.wait()
            return call()
        except Exception as error:
            # Whatever it is, it is the outcome of this call.
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls, timeout=LONGEST_RACE))


def wait_until_somebody_waits(unless: Callable[[], bool] = lambda: False) -> None:
    """Return once another session waits for a lock of this thread's transaction, on PostgreSQL.

    ``unless`` says that nobody is going to wait any more.
    """
    deadline = time.monotonic() + LONGEST_RACE
    with connection.cursor() as cursor:
        while time.monotonic() < deadline and not unless():
            cursor.execute(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)) LIMIT 1"
            )
            if cursor.fetchone():
                return
    if not unless():
        raise TimeoutError("nobody waits for this transaction")
