"""One client's connection, as a worker's event loop reads and writes it: no call here ever waits."""

import socket
from concurrent.futures import Future
from enum import Enum, auto
from typing import Any

from gunicorn.http import get_parser

from eventmanagement.serving.lanes import Lane

# Bytes read at once.
CHUNK = 2**16
# Bytes of a request's line and headers together: gunicorn bounds each of them and their number, which
# still allows 800 kB.
LARGEST_HEAD = 2**15


class State(Enum):
    """What a connection waits for."""

    # The first byte of a request.
    IDLE = auto()
    # The rest of a request.
    READING = auto()
    # A thread of its lane, and then the application.
    QUEUED = auto()
    # A client that reads the response slowly.
    WRITING = auto()
    # The client to close: a server that closes first may cut off its own response (RFC 9112, section 9.6).
    LINGERING = auto()


class Source:
    """What gunicorn's parser reads from: it has what it was given, and then nothing."""

    def __init__(self) -> None:
        self.data = b""

    def __iter__(self) -> "Source":
        return self

    def __next__(self) -> bytes:
        data, self.data = self.data, b""
        return data


class Output:
    """Collects a response where gunicorn expects a socket, so that no thread waits for a slow client."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.chunks.append(data)

    def send(self, data: bytes) -> int:
        """Discard gunicorn's "100 Continue": the worker has sent one before it read the body."""
        return len(data)

    def shutdown(self, how: int) -> None:
        """Refuse gunicorn's graceful end of a response that failed half-way: none of it was sent."""
        raise OSError("not a socket")

    def close(self) -> None:
        """Do nothing: the worker closes connections."""

    def take(self) -> bytes:
        """Give what was collected, and forget it."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        return data


class Connection:
    """A client's socket, with what was received and not parsed yet, and what was not sent yet."""

    def __init__(self, config: Any, client_socket: socket.socket, client: Any, server: Any) -> None:
        client_socket.setblocking(False)
        self.config = config
        self.socket = client_socket
        self.client = client
        self.server = server
        self.state = State.IDLE
        # What the event loop watches the socket for: a mask of selectors' events, or 0.
        self.watched = 0
        # By time.monotonic(): since when the client is waited for, when the request or the response began, and when
        # the state has lasted too long.
        self.since = self.began = self.deadline = 0.0
        self.received = bytearray()
        # Bytes that hold no end of a head.
        self.scanned = 0
        self.source = Source()
        self.request: Any = None
        # Bytes of the body that are still to come, and whether they are dropped as they come.
        self.body_left = 0
        self.is_body_dropped = False
        self.lane: Lane | None = None
        self.future: Future | None = None
        # gunicorn's handle_request writes to it as the connection's socket.
        self.sock = Output()
        self.unsent = memoryview(b"")
        self.keeps_alive = False
        self.has_been_served = False
        # What the worker has counted of ``held``.
        self.counted = 0

    @property
    def held(self) -> int:
        """Bytes of memory that this connection's request and response take."""
        return len(self.received) + len(self.source.data) + len(self.unsent)

    def receive(self) -> bool:
        """Read what has arrived; say whether the client may send more."""
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.received += data
        return bool(data)

    def send(self) -> bool:
        """Send as much as the client takes now; say whether the connection still works."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def parse(self, head: bytes) -> Any:
        """Parse a request's line and headers; raises what gunicorn's parser raises.

        Each request has a parser of its own: another would first look for the rest of a body that the
        application has not read.
        """
        self.source.data = head
        return next(get_parser(self.config, self.source, self.client))

    def take_head(self) -> bytes | None:
        """Take a request's line and headers from what was received; None while they are not complete.

        Bare line feeds end them as well: gunicorn refuses those.
        """
        start = max(0, self.scanned - 3)
        for end in (b"\r\n\r\n", b"\n\n"):
            found = self.received.find(end, start)
            if found >= 0:
                return self._take(found + len(end))
        self.scanned = len(self.received)
        return None

    def take_body(self) -> bool:
        """Pass the body to the parser, or drop what has come of it; say whether it is complete."""
        if self.is_body_dropped:
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
