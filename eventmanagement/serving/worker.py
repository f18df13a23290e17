"""gunicorn's threaded worker, with an event loop that does all the waiting for clients.

A thread is given to a request that has arrived whole, and has a response taken from it whole, so that
clients who say nothing, drip or don't read cost a connection and some memory, and no thread. Each wait
has a deadline, each buffer a bound, and each kind of request its own threads (lanes.py).
"""

import errno
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from django.conf import settings
from gunicorn.errors import ConfigError
from gunicorn.http.errors import (
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
)
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from eventmanagement.database.errors import Unavailable
from eventmanagement.serving.connection import LARGEST_HEAD, Connection, State
from eventmanagement.serving.lanes import LONGEST_QUEUE, READS, THREADS, Lane, lane_of
from eventmanagement.serving.logs import log_refusal
from eventmanagement.serving.middleware import RETRY_AFTER, sentence

# Seconds that a worker waits: for a new connection's first byte, for a request's line and headers, for all of the
# request, for a thread to take it, for the client to read some of the response, for it to read all of it, and for
# it to close its side of a connection that is closed on this side.
FIRST_BYTE, HEAD, REQUEST, QUEUE, STALL, RESPONSE, LINGER = 10, 10, 30, 10, 30, 120, 2
# Seconds between two looks at the deadlines.
SWEEP = 1
# Bytes. A larger body is not read to its end before it is refused.
LARGEST_DROPPED = 32 * 2**20
# Bytes of requests and responses that a worker holds for all its clients together. Beyond, it drops the clients
# that it waits for and that hold most, and refuses requests.
MOST_HELD = 64 * 2**20

# Seconds that a worker leaves a new connection to the others, for each that it is busy with, and at most.
LEAD, LONGEST_LEAD = 20e-6, 1e-3

EVENTS = {
    State.IDLE: EVENT_READ,
    State.READING: EVENT_READ,
    State.QUEUED: 0,
    State.WRITING: EVENT_WRITE,
    State.LINGERING: EVENT_READ,
}
STATUS = {
    LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    TimeoutError: HTTPStatus.REQUEST_TIMEOUT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
# What accept() fails with when the process or the machine has no room for a socket, and when the listener is gone.
OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
NO_SOCKET = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}
# They are parse errors in name only: the application made those headers.
FAULTS = (InvalidResponseHeader, InvalidResponseHeaderName)


class Lanes:
    """A pool of threads for each lane, each with a queue of its own."""

    def __init__(self) -> None:
        self._pools = {lane: ThreadPoolExecutor(count, thread_name_prefix=lane) for lane, count in THREADS.items()}

    def submit(self, lane: Lane, function: Callable, *arguments: Any) -> Future:
        return self._pools[lane].submit(function, *arguments)

    def shutdown(self, wait: bool) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait)


class Worker(ThreadWorker):
    """Serves HTTP/1 without TLS. The lanes say how many threads there are, whatever ``threads`` is set to."""

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise ConfigError("This worker speaks no TLS: a reverse proxy does.")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.connections: set[Connection] = set()
        # Requests in each lane, waiting or served.
        self.in_lane: Counter[Lane] = Counter()
        # Bytes.
        self.held = 0
        self.next_sweep = 0.0

    def get_thread_pool(self) -> Lanes:
        return Lanes()

    # From a connection to a request, in the event loop.

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, later the more of them keep this worker busy, so that one with fewer gets it.

        All workers wait on one socket. Whoever ran first could take a whole burst of connections, which
        stay with it as long as they are kept alive: two workers were measured at 0.4 of their speed then.
        """
        busy = sum(each.state is State.QUEUED or not each.has_been_served for each in self.connections)
        time.sleep(min(busy * LEAD, LONGEST_LEAD))
        if self.nr_conns >= self.worker_connections - 1:
            self.make_room()
        try:
            client_socket, client = listener.accept()
        except OSError as error:
            if error.errno in OUT_OF_FILES:
                self.make_room()
            elif error.errno in NO_SOCKET:
                raise
            return
        self.nr_conns += 1
        connection = Connection(self.cfg, client_socket, client, listener.getsockname())
        self.connections.add(connection)
        self.wait(connection, State.IDLE, FIRST_BYTE)
        # The request may have come with the connection.
        self.on_ready(connection)

    def wait(self, connection: Connection, state: State, seconds: float) -> None:
        """Wait for what this state waits for, so many seconds at most."""
        now = time.monotonic()
        if state is not connection.state or state is State.IDLE:
            connection.since = now
        connection.state = state
        connection.deadline = now + seconds
        events = EVENTS[state]
        if events == connection.watched:
            return
        if connection.watched:
            self.poller.unregister(connection.socket)
        if events:
            self.poller.register(connection.socket, events, partial(self.on_ready, connection))
        connection.watched = events

    @contextmanager
    def isolated(self, connection: Connection) -> Iterator[None]:
        """Drop a connection whose handling fails, so that it doesn't end the worker with all the others."""
        try:
            yield
        except Exception:
            self.log.exception("A connection failed")
            self.drop(connection)

    def on_ready(self, connection: Connection, _: Any = None) -> None:
        """Go on with a client that has sent something, or can be sent something."""
        if connection not in self.connections:
            # Another event of the same round has dropped it.
            return
        with self.isolated(connection):
            if connection.state is State.WRITING:
                self.flush(connection)
                return
            may_send_more = connection.receive()
            if connection.state is State.LINGERING:
                connection.received.clear()
            else:
                self.advance(connection)
            if not may_send_more and connection.watched == EVENT_READ:
                self.drop(connection)

    def advance(self, connection: Connection) -> None:
        """Make a request of what was received, or wait for more of it."""
        is_complete = (connection.request or self.parse_head(connection)) and connection.take_body()
        self.count(connection)
        if is_complete:
            self.queue(connection)
        else:
            self.free_memory()

    def parse_head(self, connection: Connection) -> bool:
        """Parse a request's line and headers once they are complete; say whether they are."""
        if not connection.received:
            return False
        if connection.state is State.IDLE:
            connection.began = time.monotonic()
            self.wait(connection, State.READING, HEAD)
        head = connection.take_head()
        try:
            if len(connection.received if head is None else head) > LARGEST_HEAD:
                raise LimitRequestHeaders("the request's line and headers together")
            if head is None:
                return False
            connection.request = connection.parse(head)
        except (ParseException, NoMoreData, StopIteration) as error:
            self.refuse(connection, error)
            return False
        self.expect_body(connection)
        return True

    def expect_body(self, connection: Connection) -> None:
        """Prepare to read the body, or to drop one that the application will refuse by its headers."""
        request = connection.request
        headers = dict(request.headers)
        length = int(headers.get("CONTENT-LENGTH", 0))
        is_too_large = length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        is_asked_for = "EXPECT" in headers and request.version >= (1, 1)
        # Nothing reads the body of a GET.
        connection.is_body_dropped = is_too_large or request.method in READS
        # Who asks first is told without a body that it is too large. Others don't listen before they have sent it.
        connection.body_left = 0 if is_too_large and (is_asked_for or length > LARGEST_DROPPED) else length
        if is_too_large or "TRANSFER-ENCODING" in headers:
            request.force_close()
        if is_asked_for and connection.body_left > len(connection.received):
            # So short a response fits into the socket's buffer, which is empty.
            connection.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wait(connection, State.READING, connection.began + REQUEST - time.monotonic())

    def queue(self, connection: Connection) -> None:
        """Let a thread of the request's lane serve it, unless the lane's queue is full or memory is."""
        request = connection.request
        connection.lane = lane = lane_of(request.method, request.path, request.query)
        if self.held > MOST_HELD or self.in_lane[lane] >= THREADS[lane] + LONGEST_QUEUE[lane]:
            self.refuse(connection, Unavailable())
            return
        self.in_lane[lane] += 1
        self.wait(connection, State.QUEUED, QUEUE)
        connection.future = self.tpool.submit(lane, self.handle, connection)
        connection.future.add_done_callback(partial(self.method_queue.defer, self.finish_request, connection))

    # In a thread.

    def handle(self, connection: Connection) -> bool:
        """Serve the request and send what the client takes at once; say whether another request may follow."""
        keeps_alive = self.handle_request(connection.request, connection)
        connection.unsent = memoryview(connection.sock.take())
        return connection.send() and keeps_alive

    # From the response to the next request, in the event loop.

    def finish_request(self, connection: Connection, future: Future) -> None:
        """Take a connection back from its thread."""
        self.in_lane[connection.lane] -= 1
        if future.cancelled():
            return
        with self.isolated(connection):
            connection.request = None
            # A body that the application has not read.
            connection.source.data = b""
            connection.has_been_served = True
            connection.began = time.monotonic()
            if error := future.exception():
                # Of half a response, nothing was sent yet.
                connection.sock.take()
                self.refuse(connection, error)
                return
            connection.keeps_alive = future.result()
            self.flush(connection)

    def flush(self, connection: Connection) -> None:
        """Send what is left of the response, then go on to the next request or to the end."""
        if not connection.send():
            self.drop(connection)
        elif connection.unsent:
            self.wait(connection, State.WRITING, min(STALL, connection.began + RESPONSE - time.monotonic()))
            self.count(connection)
            self.free_memory()
        elif connection.keeps_alive:
            self.wait(connection, State.IDLE, self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
            self.advance(connection)
        else:
            self.linger(connection)

    def linger(self, connection: Connection) -> None:
        """Close this side of the connection, and wait for the client to close the other."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(connection)
        else:
            connection.received.clear()
            self.wait(connection, State.LINGERING, LINGER)
            self.count(connection)

    def refuse(self, connection: Connection, reason: BaseException) -> None:
        """Respond without the application, and close."""
        connection.source.data = b""
        connection.unsent = memoryview(self.refusal(reason))
        connection.keeps_alive = False
        connection.began = time.monotonic()
        self.flush(connection)

    def refusal(self, reason: BaseException) -> bytes:
        """Make the response to a request that Django does not see, in the shape of Django's own.

        gunicorn's own is HTML, and 501 for a transfer coding that it doesn't know.
        """
        status = STATUS.get(type(reason))
        if status is None and isinstance(reason, ParseException | NoMoreData) and not isinstance(reason, FAULTS):
            status = HTTPStatus.BAD_REQUEST
        if status is None:
            self.log.error("A request failed outside of Django", exc_info=reason)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
        request_id = log_refusal(status, reason)
        is_busy = status == HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps({"detail": sentence(status)} | ({"code": "unavailable"} if is_busy else {}))
        head = [
            f"HTTP/1.1 {status} {status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options: nosniff",
            f"X-Request-ID: {request_id}",
            *([f"Retry-After: {RETRY_AFTER}"] if is_busy else []),
            "Connection: close",
        ]
        return "\r\n".join([*head, "", body]).encode()

    # Bounds.

    def count(self, connection: Connection) -> None:
        """Count what a connection holds in memory, before or after a thread has it: the thread changes it."""
        if connection in self.connections:
            held = connection.held
            self.held += held - connection.counted
            connection.counted = held

    def free_memory(self) -> None:
        """Drop the connections that hold most while all of them hold too much."""
        while self.held > MOST_HELD:
            holding = [each for each in self.waiting() if each.counted]
            if not holding:
                return
            self.drop(max(holding, key=lambda each: each.counted))

    def make_room(self) -> None:
        """Drop the connection whose client has been waited for longest."""
        if waiting := self.waiting():
            self.drop(min(waiting, key=lambda each: each.since))

    def waiting(self) -> list[Connection]:
        """The connections that wait for their clients, and not for the application."""
        return [each for each in self.connections if each.state is not State.QUEUED]

    def murder_pending(self) -> None:
        """End what has lasted too long. (gunicorn's event loop calls this after each round.)"""
        now = time.monotonic()
        if now < self.next_sweep:
            return
        self.next_sweep = now + SWEEP
        for connection in [each for each in self.connections if each.deadline <= now]:
            with self.isolated(connection):
                if connection.state is State.READING:
                    self.refuse(connection, TimeoutError())
                elif connection.state is not State.QUEUED:
                    self.drop(connection)
                elif connection.future.cancel():
                    self.refuse(connection, Unavailable())

    def drop(self, connection: Connection) -> None:
        """Close a connection at once."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        self.nr_conns -= 1
        self.held -= connection.counted
        if connection.watched:
            self.poller.unregister(connection.socket)
        connection.socket.close()

    # Stopping.

    def _cap_keepalive(self, deadline: float) -> None:
        """Give all clients that are waited for until this deadline. (gunicorn calls it when the worker stops.)"""
        for connection in self.waiting():
            connection.deadline = min(connection.deadline, deadline)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close all connections at the end. (gunicorn's event loop calls this, forced when it has ended.)"""
        for connection in [*self.connections] if force else []:
            self.drop(connection)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop on Ctrl-C as on any other request to stop, when the requests under way have ended.

        gunicorn's own shuts its thread pool down from within the signal's handler, and waits for
        ever where the signal came while the pool's lock was held.
        """
        self.handle_exit(sig, frame)
