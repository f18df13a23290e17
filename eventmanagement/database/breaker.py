"""A circuit breaker, so that locked rows do not take every thread of the process."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from eventmanagement.database.errors import Unavailable, is_lock_timeout

# The maximum number of open breakers. When it is exceeded, the oldest one closes.
MOST_OPEN = 1000


class LockBreaker:
    """Bounds how many threads of this process wait for locked rows, by whatever key names a row.

    While no wait for a row times out, any number may wait for it. After a lock timeout the row's
    breaker is open until a thread has got the lock. Of all threads that want rows with open
    breakers, one at a time waits, for one of the rows; the others are refused at once.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        # The rows whose breaker is open, the latest timeout last. A dict, because a set has no order.
        self._open: dict[Hashable, None] = {}
        # The one attempt at a row whose breaker is open.
        self._attempt: object | None = None

    @contextmanager
    def guard(self, row: Hashable) -> Iterator[None]:
        """Wrap a statement that waits for the row.

        Raises Unavailable if the row's breaker is open and another thread waits for such a row.
        A lock timeout opens the breaker, and a block that ends closes it. A block that raises
        something else leaves it as it is: that says nothing about the lock.
        """
        attempt = self._begin(row)
        try:
            yield
        except DatabaseError as error:
            if is_lock_timeout(error):
                self._remember(row)
            raise
        else:
            with self._mutex:
                self._open.pop(row, None)
        finally:
            self._end(attempt)

    def _begin(self, row: Hashable) -> object:
        attempt = object()
        with self._mutex:
            if row in self._open:
                if self._attempt is not None:
                    raise Unavailable(f"the row {row!r:.100} is locked, and another thread waits for such a row")
                self._attempt = attempt
        return attempt

    def _remember(self, row: Hashable) -> None:
        with self._mutex:
            # Remove the key first, so that it moves to the end of the order.
            self._open.pop(row, None)
            self._open[row] = None
            if len(self._open) > MOST_OPEN:
                del self._open[next(iter(self._open))]

    def _end(self, attempt: object) -> None:
        with self._mutex:
            if self._attempt is attempt:
                self._attempt = None
