"""gunicorn's threaded worker, with an event loop that handles all waiting for clients.

A thread only gets a request after the whole request has been received, and it returns the whole response at once.
So a client that is silent, sends slowly or does not read its response uses a connection and some memory, but no
thread. Large files are sent from the disk (connection.py). Every wait has a deadline, every buffer has a size limit,
and every kind of request has its own threads (lanes.py).
"""

import errno
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from queue import Empty, SimpleQueue
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
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
from eventmanagement.serving.connection import MAX_HEAD_SIZE, Connection, State
from eventmanagement.serving.lanes import MAX_QUEUE_LENGTH, READS, THREADS, Lane, NotMounted, is_mounted, lane_of
from eventmanagement.serving.logs import log_worker_response
from eventmanagement.serving.middleware import JSON_POLICY, RETRY_AFTER, error_body

# Timeouts in seconds, in this order: the first byte on a new connection, the request line and headers, the complete
# request, the queue for a thread, progress of the response (some bytes sent), the complete response, and the client's
# close after this side has closed.
FIRST_BYTE_TIMEOUT, HEAD, REQUEST, QUEUE, STALL, RESPONSE, LINGER = 10, 10, 30, 10, 30, 120, 2
# Seconds between two checks of the deadlines.
SWEEP_INTERVAL = 1
# In bytes. A body that is too large is received and discarded before the 413, unless it is larger than this.
MAX_DISCARDED_BODY = 32 * 2**20
# In bytes: the maximum size of the buffers of all connections of a worker together. Above it, the worker drops the
# connections with the largest buffers that are waiting for their clients, and returns 503 for requests with a body.
MAX_BUFFERED_BYTES = 64 * 2**20

# In bytes: how much of a next request is read while a thread handles the current one.
MAX_EARLY_READ = 4096

EVENTS_BY_STATE = {
    State.IDLE: EVENT_READ,
    State.READING: EVENT_READ,
    # Most clients send nothing in this state. To keep watching them saves two system calls per request.
    State.QUEUED: EVENT_READ,
    State.WRITING: EVENT_WRITE,
    State.LINGERING: EVENT_READ,
}
STATUS_BY_ERROR = {
    LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    TimeoutError: HTTPStatus.REQUEST_TIMEOUT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    NotMounted: HTTPStatus.NOT_FOUND,
}
# Errors of accept(): no file descriptors or memory for a socket, and a listening socket that has been closed.
RESOURCE_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
LISTENER_ERRORS = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}
# gunicorn raises these as parse errors, but they are caused by the application's response headers: 500, not 400.
APPLICATION_ERRORS = (InvalidResponseHeader, InvalidResponseHeaderName)


class Lanes:
    """One thread pool with its own queue per lane."""

    def __init__(self) -> None:
        self._pools = {lane: ThreadPoolExecutor(count, thread_name_prefix=lane) for lane, count in THREADS.items()}

    def submit(self, lane: Lane, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._pools[lane].submit(function, *arguments)

    def shutdown(self, wait: bool) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait)


class ConfigSnapshot:
    """gunicorn's configuration, with its settings as plain attributes.

    gunicorn looks up and validates a setting by its name at each access, about 25 times per request.
    """

    def __init__(self, config: Any) -> None:
        self._config = config
        # For some settings, such as sendfile, the configuration returns another value than the setting itself.
        vars(self).update({name: getattr(config, name) for name in config.settings}, is_ssl=config.is_ssl)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


class Worker(ThreadWorker):
    """Serves HTTP/1 without TLS. The lanes define the number of threads; the setting ``threads`` is ignored."""

    # Set by gunicorn before the event loop begins.
    poller: BaseSelector
    tpool: Lanes

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise ConfigError("This worker does not support TLS. Terminate TLS at a reverse proxy.")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cfg = ConfigSnapshot(self.cfg)
        self.connections: set[Connection] = set()
        # Connections whose threads have finished. The event loop takes them out before it handles its next events.
        self.finished: SimpleQueue[Connection] = SimpleQueue()
        # The number of requests per lane, in the queue or in a thread.
        self.requests_per_lane: Counter[Lane] = Counter()
        # The size of all buffers, in bytes.
        self.held = 0
        self.next_sweep = 0.0

    def get_thread_pool(self) -> Lanes:
        return Lanes()

    # Receiving a request (in the event loop).

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and read the request that may have come with it.

        If the worker has its maximum number of connections, it first drops the one that has been waiting for its
        client the longest.
        """
        if self.nr_conns >= self.worker_connections - 1:
            self.drop_one()
        try:
            client_socket, client = listener.accept()
        except OSError as error:
            if error.errno in RESOURCE_ERRORS:
                self.drop_one()
            elif error.errno in LISTENER_ERRORS:
                raise
            return
        self.nr_conns += 1
        connection = Connection(self.cfg, client_socket, client, listener.getsockname())
        self.connections.add(connection)
        self.wait(connection, State.IDLE, FIRST_BYTE_TIMEOUT)
        # The request may already have arrived together with the connection.
        self.on_ready(connection)

    def wait(self, connection: Connection, state: State, seconds: float) -> None:
        """Set the connection's state and deadline, and register the socket events of this state."""
        now = time.monotonic()
        if state is not connection.state or state is State.IDLE:
            connection.since = now
        connection.state = state
        connection.deadline = now + seconds
        events = EVENTS_BY_STATE[state]
        if events == connection.watched:
            return
        if connection.watched:
            self.poller.unregister(connection.socket)
        if events:
            self.poller.register(connection.socket, events, partial(self.on_ready, connection))
        connection.watched = events

    @contextmanager
    def drop_on_error(self, connection: Connection) -> Iterator[None]:
        """Log an exception in the block and drop the connection, so that the worker and its other connections go on."""
        try:
            yield
        except Exception:
            self.log.exception("A connection failed")
            self.drop(connection)

    def on_ready(self, connection: Connection, _: Any = None) -> None:
        """Handle a socket that has become readable or writable."""
        if connection not in self.connections:
            # Another event in the same iteration of the event loop has closed the connection.
            return
        with self.drop_on_error(connection):
            if connection.state is State.WRITING:
                self.flush(connection)
                return
            if connection.state is State.QUEUED:
                self.read_early(connection)
                return
            may_send_more = connection.receive()
            if connection.state is State.LINGERING:
                connection.received.clear()
            else:
                self.advance(connection)
            if not may_send_more and connection.watched == EVENT_READ:
                self.drop(connection)

    def read_early(self, connection: Connection) -> None:
        """Read a part of the next request while a thread handles the current one.

        If more arrives, or the client has closed its side, stop watching the connection until the thread has finished.
        """
        if connection.received or not connection.receive(MAX_EARLY_READ):
            self.poller.unregister(connection.socket)
            connection.watched = 0
        # The thread may have finished before it could see that data has been read.
        self.finish_requests()

    def advance(self, connection: Connection) -> None:
        """Queue the request if it is complete; otherwise keep waiting for data."""
        is_complete = (connection.request or self.parse_head(connection)) and connection.take_body()
        self.count(connection)
        if is_complete:
            self.queue(connection)
        else:
            self.free_memory()

    def parse_head(self, connection: Connection) -> bool:
        """Parse the request line and headers if they are complete. Returns whether a request was parsed."""
        if not connection.received:
            return False
        if connection.state is State.IDLE:
            connection.began = time.monotonic()
            self.wait(connection, State.READING, HEAD)
        head = connection.take_head()
        try:
            if len(connection.received if head is None else head) > MAX_HEAD_SIZE:
                raise LimitRequestHeaders("request line and headers are too large")
            if head is None:
                return False
            connection.request = connection.parse(head)
        except (ParseException, NoMoreData, StopIteration) as error:
            self.send_error(connection, error)
            return False
        self.expect_body(connection)
        return True

    def expect_body(self, connection: Connection) -> None:
        """Prepare to read the body, or to discard it if it is larger than the application accepts."""
        request = connection.request
        headers = dict(request.headers)
        length = int(headers.get("CONTENT-LENGTH", 0))
        is_too_large = length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        expects_continue = "EXPECT" in headers and request.version >= (1, 1)
        # Discard the body of a GET or HEAD request: no view reads it.
        connection.is_body_discarded = is_too_large or request.method in READS
        # A client with "Expect: 100-continue" gets the 413 without sending the body. Other clients only read the
        # response after they have sent the body, so it must be received and discarded.
        connection.body_left = 0 if is_too_large and (expects_continue or length > MAX_DISCARDED_BODY) else length
        if is_too_large or "TRANSFER-ENCODING" in headers:
            request.force_close()
        if expects_continue and connection.body_left > len(connection.received):
            # This can't block: the socket's send buffer is empty, and the message is short.
            connection.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wait(connection, State.READING, connection.began + REQUEST - time.monotonic())

    def queue(self, connection: Connection) -> None:
        """Submit the request to the thread pool of its lane.

        Responds 404 to a path outside of the mount path. Responds 503 if the queue is full, or if the buffers are full
        and the request uses some, for example for its body.
        """
        request = connection.request
        if not is_mounted(request.path):
            self.send_error(connection, NotMounted())
            return
        connection.lane = lane = lane_of(request.method, request.path, request.query)
        is_memory_full = connection.counted and self.held > MAX_BUFFERED_BYTES
        if is_memory_full or self.requests_per_lane[lane] >= THREADS[lane] + MAX_QUEUE_LENGTH[lane]:
            self.send_error(connection, Unavailable())
            return
        self.requests_per_lane[lane] += 1
        self.wait(connection, State.QUEUED, QUEUE)
        connection.future = self.tpool.submit(lane, self.handle, connection)
        connection.future.add_done_callback(partial(self.on_done, connection))

    # Handling a request (in a thread of the pool).

    def handle(self, connection: Connection) -> bool:
        """Handle the request and start sending the response. Returns whether to keep the connection alive."""
        keeps_alive = self.handle_request(connection.request, connection)
        connection.take_response()
        return connection.send() and keeps_alive

    def on_done(self, connection: Connection, future: Future[bool]) -> None:
        """Tell the event loop that the request is finished. Wake it only if it has something to do for the connection.

        If the response has been sent and the client has sent nothing more, the loop only has to wait for the next
        request. It does so already, because it still watches the connection. Waking the loop for each response would
        take two system calls and more switches between threads.
        """
        self.finished.put(connection)
        # First put the connection into the queue, then check it. The event loop does the opposite: it reads data or
        # stops watching, and then checks the queue. So at least one of the two sees what the other has done.
        is_over = not future.cancelled() and not future.exception() and future.result() and not connection.has_more
        if not is_over or connection.received or not connection.watched:
            self.method_queue.defer(self.finish_requests)

    # Sending the response (in the event loop).

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, finish the requests that threads have handled meanwhile, and handle the events."""
        events = self.poller.select(timeout)
        self.finish_requests()
        for key, _ in events:
            key.data(key.fileobj)

    def finish_requests(self) -> None:
        """Continue with the connections whose threads have finished."""
        with suppress(Empty):
            while True:
                self.finish(self.finished.get_nowait())

    def finish(self, connection: Connection) -> None:
        """Continue with a connection whose thread has finished."""
        future: Future[bool] = connection.future  # type: ignore[assignment]  # Not None once queued.
        self.requests_per_lane[connection.lane] -= 1  # type: ignore[index]  # Not None once queued.
        if future.cancelled():
            return
        with self.drop_on_error(connection):
            connection.request = None
            # Discard the body, if the application has not read it.
            connection.source.data = b""
            connection.began = time.monotonic()
            if error := future.exception():
                # Discard the partial response; nothing of it has been sent.
                connection.discard_response()
                self.send_error(connection, error)
                return
            connection.keeps_alive = future.result()
            self.flush(connection)

    def flush(self, connection: Connection) -> None:
        """Send the rest of the response, then wait for the next request or close the connection."""
        if not connection.send():
            self.drop(connection)
        elif connection.has_more:
            self.wait(connection, State.WRITING, min(STALL, connection.began + RESPONSE - time.monotonic()))
            self.count(connection)
            self.free_memory()
        elif connection.keeps_alive:
            self.wait(connection, State.IDLE, self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER)
            self.advance(connection)
        else:
            self.linger(connection)

    def linger(self, connection: Connection) -> None:
        """Shut down the sending side of the connection, and wait for the client to close it."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(connection)
        else:
            connection.received.clear()
            self.wait(connection, State.LINGERING, LINGER)
            self.count(connection)

    def send_error(self, connection: Connection, reason: BaseException) -> None:
        """Send an error response without calling the application, then close the connection."""
        connection.source.data = b""
        connection.unsent = memoryview(self.error_response(reason))
        connection.keeps_alive = False
        connection.began = time.monotonic()
        self.flush(connection)

    def error_response(self, reason: BaseException) -> bytes:
        """Return an error response for a request that does not reach Django, in the API's error format.

        gunicorn's own error responses are HTML, and it returns 501 for an unknown transfer coding.
        """
        status = STATUS_BY_ERROR.get(type(reason))
        if (
            status is None
            and isinstance(reason, ParseException | NoMoreData)
            and not isinstance(reason, APPLICATION_ERRORS)
        ):
            status = HTTPStatus.BAD_REQUEST
        if status is None:
            self.log.error("A request failed outside Django", exc_info=reason)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
        request_id = log_worker_response(status, reason)
        is_busy = status == HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps(error_body(status))
        head = [
            f"HTTP/1.1 {status} {status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Content-Security-Policy: {JSON_POLICY}",
            "X-Content-Type-Options: nosniff",
            f"X-Request-ID: {request_id}",
            *([f"Retry-After: {RETRY_AFTER}"] if is_busy else []),
            "Connection: close",
        ]
        return "\r\n".join([*head, "", body]).encode()

    # Limits.

    def count(self, connection: Connection) -> None:
        """Update the worker's total buffer size. Must not be called while a thread has the connection."""
        if connection in self.connections:
            held = connection.held
            self.held += held - connection.counted
            connection.counted = held

    def free_memory(self) -> None:
        """Drop the connections with the largest buffers until the total is within MAX_BUFFERED_BYTES."""
        while self.held > MAX_BUFFERED_BYTES:
            holding = [each for each in self.waiting() if each.counted]
            if not holding:
                return
            self.drop(max(holding, key=lambda each: each.counted))

    def drop_one(self) -> None:
        """Drop the connection that has been waiting for its client the longest."""
        if waiting := self.waiting():
            self.drop(min(waiting, key=lambda each: each.since))

    def waiting(self) -> list[Connection]:
        """Return the connections that are waiting for their client, not for the application."""
        return [each for each in self.connections if each.state is not State.QUEUED]

    def murder_pending(self) -> None:
        """Handle connections past their deadline. gunicorn calls this after each iteration of its event loop."""
        now = time.monotonic()
        if now < self.next_sweep:
            return
        self.next_sweep = now + SWEEP_INTERVAL
        for connection in [each for each in self.connections if each.deadline <= now]:
            with self.drop_on_error(connection):
                if connection.state is State.READING:
                    self.send_error(connection, TimeoutError())
                elif connection.state is not State.QUEUED:
                    self.drop(connection)
                elif connection.future.cancel():  # type: ignore[union-attr]  # Not None while queued.
                    self.send_error(connection, Unavailable())

    def drop(self, connection: Connection) -> None:
        """Close a connection immediately."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        self.nr_conns -= 1
        self.held -= connection.counted
        if connection.watched:
            self.poller.unregister(connection.socket)
        connection.close()

    # Stopping.

    def _cap_keepalive(self, deadline: float) -> None:
        """Shorten the deadline of connections that wait for their client. gunicorn calls this at shutdown."""
        for connection in self.waiting():
            connection.deadline = min(connection.deadline, deadline)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close all connections if ``force`` is set. gunicorn calls this with ``force`` after its event loop ends."""
        for connection in [*self.connections] if force else []:
            self.drop(connection)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Shut down gracefully on Ctrl-C, as on SIGTERM.

        gunicorn's own method shuts down its thread pool inside the signal handler. It deadlocks if the signal arrives
        while the pool's lock is held.
        """
        self.handle_exit(sig, frame)
