"""Runs race conditions: real threads with their own connections, started at the same moment."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

# Seconds after which a race is considered hung.
RACE_TIMEOUT = 60


def race(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """Run all calls at the same time. Returns what each returned or raised, in the order of the calls."""
    calls = list(calls)
    barrier = threading.Barrier(len(calls), timeout=RACE_TIMEOUT)

    def run(call: Callable[[], Any]) -> Any:
        try:
            # Connect before the start, so that all threads start at the same time.
            connection.ensure_connection()
            barrier.wait()
            return call()
        except Exception as error:
            # Any exception is the outcome of this call.
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls, timeout=RACE_TIMEOUT))


def wait_for_blocked_session(unless: Callable[[], bool] = lambda: False) -> None:
    """On PostgreSQL, wait until another session waits for a lock held by this thread's transaction.

    Stops waiting if ``unless`` returns true, which means that no session will wait any more.
    """
    deadline = time.monotonic() + RACE_TIMEOUT
    with connection.cursor() as cursor:
        while time.monotonic() < deadline and not unless():
            cursor.execute(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)) LIMIT 1"
            )
            if cursor.fetchone():
                return
    if not unless():
        raise TimeoutError("nobody waits for this transaction")


def outcomes(responses):
    """Count the responses by status, or by error code if they have one."""
    for response in responses:
        if isinstance(response, Exception):
            raise response
    return Counter(
        response.status_code
        if response.status_code != 400
        else response.json().get("code", response.json().keys().__str__())
        for response in responses
    )
