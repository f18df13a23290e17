"""A client connection with non-blocking reads and writes, for the worker's event loop."""

import socket
from concurrent.futures import Future
from enum import Enum, auto
from typing import Any

from gunicorn.http import get_parser

from eventmanagement.serving.lanes import Lane

# Bytes per read.
READ_SIZE = 2**16
# In bytes: the maximum size of the request line and headers together. gunicorn only limits the size of each header
# and their number, which allows 800 kB.
MAX_HEAD_SIZE = 2**15


class State(Enum):
    """The state of a connection: what it is waiting for."""

    # The first byte of a request.
    IDLE = auto()
    # The rest of a request.
    READING = auto()
    # A thread of the pool, then the application's response.
    QUEUED = auto()
    # The client to read more of the response.
    WRITING = auto()
    # The client to close: a server that closes first may cut off its own response (RFC 9112, section 9.6).
    LINGERING = auto()


class ParserInput:
    """The input of gunicorn's parser. Returns the data it was given once, then end of file."""

    def __init__(self) -> None:
        self.data = b""

    def __iter__(self) -> "ParserInput":
        return self

    def __next__(self) -> bytes:
        data, self.data = self.data, b""
        return data


class ResponseBuffer:
    """A response buffer that gunicorn uses as its socket, so that no thread waits for a slow client."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.chunks.append(data)

    def send(self, data: bytes) -> int:
        """Discard gunicorn's "100 Continue": the worker has already sent one."""
        return len(data)

    def shutdown(self, how: int) -> None:
        """Raise OSError, which makes gunicorn skip its graceful close: nothing of the failed response was sent."""
        raise OSError("not a socket")

    def close(self) -> None:
        """Do nothing: the worker closes the connection."""

    def take(self) -> bytes:
        """Return the buffered data and clear the buffer."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        return data


class Connection:
    """A client's socket with its receive and send buffers."""

    def __init__(self, config: Any, client_socket: socket.socket, client: Any, server: Any) -> None:
        client_socket.setblocking(False)
        self.config = config
        self.socket = client_socket
        self.client = client
        self.server = server
        self.state = State.IDLE
        # The selector events that the event loop is registered for, or 0.
        self.watched = 0
        # Values of time.monotonic(): the start of the current wait, the start of the current request or response, and
        # the deadline of the state.
        self.since = self.began = self.deadline = 0.0
        self.received = bytearray()
        # The number of received bytes already searched for the end of the headers.
        self.scanned = 0
        self.source = ParserInput()
        self.request: Any = None
        # Bytes of the body still to be received, and whether they are discarded.
        self.body_left = 0
        self.is_body_discarded = False
        self.lane: Lane | None = None
        self.future: Future[bool] | None = None
        # gunicorn's handle_request uses this attribute as the client's socket.
        self.sock = ResponseBuffer()
        self.unsent = memoryview(b"")
        self.keeps_alive = False
        # The value of ``held`` that is included in the worker's total.
        self.counted = 0

    @property
    def held(self) -> int:
        """The number of bytes in this connection's buffers."""
        return len(self.received) + len(self.source.data) + len(self.unsent)

    def receive(self, limit: int = READ_SIZE) -> bool:
        """Read available data. Returns False if the client has closed its side or the connection failed."""
        try:
            data = self.socket.recv(limit)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.received += data
        return bool(data)

    def send(self) -> bool:
        """Send as much as possible without blocking. Returns False if the connection failed."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def parse(self, head: bytes) -> Any:
        """Parse a request line and headers. Raises the exceptions of gunicorn's parser.

        Creates a new parser for each request, because a reused parser would first try to read the rest of a body that
        the application has not read.
        """
        self.source.data = head
        return next(get_parser(self.config, self.source, self.client))

    def take_head(self) -> bytes | None:
        """Remove the request line and headers from the receive buffer. Returns None while they are incomplete.

        A blank line after a bare line feed ends the headers as well. gunicorn rejects such a request.
        """
        start = max(0, self.scanned - 3)
        for end in (b"\r\n\r\n", b"\n\n"):
            found = self.received.find(end, start)
            if found >= 0:
                return self._take(found + len(end))
        self.scanned = len(self.received)
        return None

    def take_body(self) -> bool:
        """Pass the complete body to the parser, or discard the part received so far. Returns whether it is complete."""
        if self.is_body_discarded:
            self.body_left -= len(self._take(self.body_left))
            return not self.body_left
        if len(self.received) < self.body_left:
            return False
        self.source.data = self._take(self.body_left)
        self.body_left = 0
        return True

    def _take(self, count: int) -> bytes:
        data = bytes(self.received[:count])
        del self.received[:count]
        self.scanned = 0
        return data
