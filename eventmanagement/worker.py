"""gunicorn's threaded worker, which refuses in JSON what is not HTTP enough to reach Django."""

import json
import socket
import struct
import time
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import (
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import TConn, ThreadWorker

from eventmanagement.logs import log_refusal
from eventmanagement.middleware import sentence

# Seconds that a client may be silent in the middle of its request before its thread is taken away.
LONGEST_SILENCE = 10

# Seconds that a worker leaves a new connection to the others, for each that it is busy with, and at most.
LEAD, LONGEST_LEAD = 20e-6, 1e-3

STATUS = {
    LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
}


class Worker(ThreadWorker):
    def handle_error(self, req: Any, client: socket.socket, addr: tuple, exc: Exception) -> None:
        """Answer a request that can't be parsed as a client's mistake; leave the rest to gunicorn.

        gunicorn's own page is HTML, and 501 for a transfer coding that it doesn't know.
        """
        # The last two are parse errors in name only: the application made those headers.
        ours = not isinstance(exc, ParseException) or isinstance(exc, InvalidResponseHeader | InvalidResponseHeaderName)
        if ours:
            super().handle_error(req, client, addr, exc)
            return
        status = STATUS.get(type(exc), HTTPStatus.BAD_REQUEST)
        identity = log_refusal(status, exc)
        body = json.dumps({"detail": sentence(status)})
        head = [
            f"HTTP/1.1 {status} {status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "X-Content-Type-Options: nosniff",
            f"X-Request-ID: {identity}",
            "Connection: close",
        ]
        write_nonblock(client, "\r\n".join([*head, "", body]).encode())

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, later the more of them keep this worker busy, so that one with fewer gets it.

        All workers wait on one socket. Whoever ran first could take a whole burst of connections, which
        stay with it as long as they are kept alive: two workers were measured at 0.4 of their speed then.
        """
        busy = max(0, self.nr_conns - len(self.keepalived_conns) - len(self.pending_conns))
        time.sleep(min(busy * LEAD, LONGEST_LEAD))
        super().accept(listener)

    def handle(self, conn: TConn) -> Any:
        """Serve a connection, but wait for the rest of a request for so long and no longer.

        Few clients who stop in mid-request would hold every thread otherwise. The limit is the
        kernel's, because gunicorn takes back one that is set on Python's socket.
        """
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", LONGEST_SILENCE, 0))
        return super().handle(conn)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop on Ctrl-C as on any other request to stop, when the requests under way have ended.

        gunicorn's own shuts its thread pool down from within the signal's handler, and waits for
        ever where the signal came while the pool's lock was held.
        """
        self.handle_exit(sig, frame)
