"""A circuit breaker for row locks, so that locked rows do not block every thread of the process."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from eventmanagement.database.errors import Unavailable, is_lock_timeout

# The maximum number of open breakers. When it is exceeded, the oldest one closes.
MAX_OPEN = 1000


class LockBreaker:
    """Limits how many threads of this process wait for row locks. Rows are identified by any key.

    A closed breaker lets any number of threads wait. A lock timeout opens the row's breaker, and it closes when a
    thread gets the lock. For all rows with an open breaker together, one thread at a time may wait. The others get
    Unavailable at once.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        # The keys of the rows with an open breaker, ordered by their last timeout, oldest first. A dict, because a set
        # has no order.
        self._open: dict[Hashable, None] = {}
        # The attempt that is waiting for a row with an open breaker, or None.
        self._attempt: object | None = None

    @contextmanager
    def guard(self, row: Hashable) -> Iterator[None]:
        """Guard a block that locks the row.

        Raises Unavailable if the row's breaker is open and another thread is waiting for a row with an open breaker.
        A lock timeout in the block opens the breaker, and a block without an exception closes it. Any other exception
        leaves the breaker unchanged, because it says nothing about the lock.
        """
        attempt = self._start_attempt(row)
        try:
            yield
        except DatabaseError as error:
            if is_lock_timeout(error):
                self._open_breaker(row)
            raise
        else:
            with self._mutex:
                self._open.pop(row, None)
        finally:
            self._end_attempt(attempt)

    def _start_attempt(self, row: Hashable) -> object:
        attempt = object()
        with self._mutex:
            if row in self._open:
                if self._attempt is not None:
                    raise Unavailable(f"the row {row!r:.100} is locked, and another thread is already waiting")
                self._attempt = attempt
        return attempt

    def _open_breaker(self, row: Hashable) -> None:
        with self._mutex:
            # Remove the key first, so that it moves to the end of the order.
            self._open.pop(row, None)
            self._open[row] = None
            if len(self._open) > MAX_OPEN:
                del self._open[next(iter(self._open))]

    def _end_attempt(self, attempt: object) -> None:
        with self._mutex:
            if self._attempt is attempt:
                self._attempt = None
