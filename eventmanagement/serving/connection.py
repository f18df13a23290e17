"""A client connection with non-blocking reads and writes, for the worker's event loop."""

import os
import socket
from concurrent.futures import Future
from enum import Enum, auto
from typing import IO, Any

from gunicorn.http import get_parser

from eventmanagement.serving.lanes import Lane

# Bytes per read.
READ_SIZE = 2**16
# In bytes: the maximum size of the request line and headers together. gunicorn only limits the size of each header
# and their number, which allows 800 kB.
MAX_HEAD_SIZE = 2**15
# In bytes. A file up to this size is copied into the buffer of its response, and a larger one is sent from the disk.
# A file on disk counts as this many bytes of memory, so the limit on memory also limits the number of open files.
FILE_BUFFER_SIZE = 2**20


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


class FileOnDisk:
    """A part of a file that is sent without loading it into memory.

    It stays open when the application closes its file.
    """

    def __init__(self, file: IO[bytes], offset: int, count: int) -> None:
        self.number = os.dup(file.fileno())
        self.offset = offset
        self.left = count

    def send(self, client: socket.socket) -> None:
        """Send at most FILE_BUFFER_SIZE bytes, so that other clients get their turn. Raises OSError."""
        sent = os.sendfile(client.fileno(), self.number, self.offset, min(self.left, FILE_BUFFER_SIZE))
        if not sent:
            raise OSError("the file has become shorter")
        self.offset += sent
        self.left -= sent

    def close(self) -> None:
        os.close(self.number)


class ResponseBuffer:
    """A response buffer that gunicorn uses as its socket, so that no thread waits for a slow client."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.file: FileOnDisk | None = None

    def sendall(self, data: bytes) -> None:
        if self.file:
            # gunicorn writes more only after a file without a Content-Length.
            raise ValueError("nothing can follow a file")
        self.chunks.append(data)

    def sendfile(self, file: IO[bytes], offset: int, count: int) -> None:
        """Add a part of a file as the end of the response. Loads it only if it is small."""
        if count > FILE_BUFFER_SIZE:
            self.file = FileOnDisk(file, offset, count)
        else:
            self.chunks.append(os.pread(file.fileno(), count, offset))

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

    def take_file(self) -> FileOnDisk | None:
        """Return the file that ends the response, and forget it. The caller must close it."""
        file, self.file = self.file, None
        return file


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
        # What is sent after ``unsent``.
        self.file: FileOnDisk | None = None
        self.keeps_alive = False
        # The value of ``held`` that is included in the worker's total.
        self.counted = 0

    @property
    def held(self) -> int:
        """The number of bytes in this connection's buffers. A file on disk counts as FILE_BUFFER_SIZE."""
        size = len(self.received) + len(self.source.data) + len(self.unsent)
        return size + (FILE_BUFFER_SIZE if self.file else 0)

    @property
    def has_more(self) -> bool:
        """Whether a part of the response has not been sent."""
        return bool(self.unsent) or self.file is not None

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
            if self.file:
                self.file.send(self.socket)
                if not self.file.left:
                    self.close_file()
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def take_response(self) -> None:
        """Take over the response that the application has written to ``sock``."""
        self.unsent = memoryview(self.sock.take())
        self.file = self.sock.take_file()

    def discard_response(self) -> None:
        """Discard the response that the application has written to ``sock``."""
        self.take_response()
        self.unsent = memoryview(b"")
        self.close_file()

    def close_file(self) -> None:
        if self.file:
            self.file.close()
            self.file = None

    def close(self) -> None:
        """Close the socket, and the file that was being sent."""
        self.close_file()
        self.socket.close()

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
