"""A circuit breaker, so that one locked row does not take every thread of the process."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from eventmanagement.database import Unavailable, is_lock_timeout

# Rows whose state is kept. A row that is forgotten is waited for as if its lock had never timed out.
MOST_OPEN = 1000


class LockBreaker:
    """Bounds how many threads of this process wait for the same row, by whatever key names it.

    While nobody's wait times out, any number may wait. After a lock timeout the row's breaker is
    open: one thread at a time tries, and the others are refused at once, until one has got the lock.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        # The rows whose breaker is open, the latest timeout last, each with the attempt under way.
        self._open: dict[Hashable, object | None] = {}

    @contextmanager
    def guard(self, row: Hashable) -> Iterator[None]:
        """Wrap a statement that waits for the row; raises Unavailable where another thread tries already.

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
            self._end(row, attempt)

    def _begin(self, row: Hashable) -> object:
        attempt = object()
        with self._mutex:
            if row in self._open:
                if self._open[row] is not None:
                    raise Unavailable(f"another thread waits for the lock of {row!r:.100}")
                self._open[row] = attempt
        return attempt

    def _remember(self, row: Hashable) -> None:
        with self._mutex:
            # Taken out first, so that it becomes the latest.
            self._open[row] = self._open.pop(row, None)
            if len(self._open) > MOST_OPEN:
                del self._open[next(iter(self._open))]

    def _end(self, row: Hashable, attempt: object) -> None:
        with self._mutex:
            if self._open.get(row) is attempt:
                self._open[row] = None
