"""A pool of connections that threads share."""

import select
import threading
import time
from collections import deque
from collections.abc import Callable

from psycopg import OperationalError
from psycopg.pq import TransactionStatus

from eventmanagement.database.postgresql.connection import Connection


class Pool:
    """At most ``max_size`` open connections of a process. Has the methods that Django calls on its pools.

    If no connection is idle, a thread opens one itself. It fails at once when the server is down, and connects at once
    when the server is back. psycopg_pool opens connections in the background, so requests wait for the whole timeout
    while the server is down, and for seconds after a restart (docs/design.md).
    """

    def __init__(self, connect: Callable[[], Connection], *, max_size: int, timeout: float, max_idle: float) -> None:
        """``timeout`` is how long a thread waits for a free connection, in seconds.

        A connection that has been idle for ``max_idle`` seconds is closed by ``close_idle``, or when another is
        returned.
        """
        self._connect = connect
        self._timeout = timeout
        self._max_idle = max_idle
        self._slots = threading.BoundedSemaphore(max_size)
        # Each with the time when it was returned. The one returned last is on the right.
        self._idle: deque[tuple[Connection, float]] = deque()

    def open(self) -> None:
        """Do nothing: connections are opened when they are needed."""

    def getconn(self) -> Connection:
        """Return a connection that no other thread uses. Raises OperationalError if none is free in time."""
        if not self._slots.acquire(timeout=self._timeout):
            raise OperationalError(f"no database connection was free within {self._timeout} seconds")
        try:
            connection = self._take_idle() or self._connect()
        except BaseException:
            self._slots.release()
            raise
        # Django returns the connection to this pool.
        connection._pool = self
        return connection

    def putconn(self, connection: Connection) -> None:
        """Take a connection back. Close it if it is in a transaction or broken. Close those idle for too long."""
        try:
            if connection.info.transaction_status == TransactionStatus.IDLE:
                self._idle.append((connection, time.monotonic()))
            else:
                connection.close()
            self.close_idle()
        finally:
            self._slots.release()

    def close_idle(self) -> None:
        """Close the connections that have been idle for ``max_idle`` seconds."""
        self._close_idle(time.monotonic() - self._max_idle)

    def close(self) -> None:
        """Close the idle connections."""
        self._close_idle(float("inf"))

    def _take_idle(self) -> Connection | None:
        while self._idle:
            try:
                connection, _ = self._idle.pop()
            except IndexError:
                # Another thread took it.
                break
            if is_silent(connection):
                return connection
            connection.close()
        return None

    def _close_idle(self, until: float) -> None:
        """Close the idle connections that were returned up to this time."""
        while True:
            try:
                if self._idle[0][1] > until:
                    return
                connection, _ = self._idle.popleft()
            except IndexError:
                # There is none, or another thread took it.
                return
            connection.close()


def is_silent(connection: Connection) -> bool:
    """Return whether the connection is idle and the server has sent nothing.

    PostgreSQL normally sends nothing to an idle client unless it closes the connection. So the state of the socket is
    enough, without a round trip to the server.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        return False
    arrivals = select.poll()
    arrivals.register(connection.fileno(), select.POLLIN)
    return not arrivals.poll(0)
