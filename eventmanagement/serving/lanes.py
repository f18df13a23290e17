"""Separate thread pools (bulkheads) per kind of request, so that slow requests can't use up all threads.

Each worker has one small thread pool, called a lane, per kind of request. A request waits in the queue of its lane
until a thread is free.
"""

import os
import re
from enum import StrEnum
from urllib.parse import unquote

READS = {"GET", "HEAD"}


class Lane(StrEnum):
    """The kinds of requests that have their own thread pool."""

    # /healthz. It uses no database, so that a slow database never makes an orchestrator restart the server.
    HEALTH = "health"
    READINESS = "readiness"
    # Login, sign-up, password changes and account deletion. Each hashes a password, which takes 0.2 seconds of CPU
    # time.
    ACCOUNTS = "accounts"
    # GET requests with a query string: searches, filters, orderings, deep pages and downloads. Also a user's calendar,
    # which may have hundreds of entries, and the admin's downloads. Each SQL query may run for up to READ_TIMEOUT.
    QUERIES = "queries"
    # Bookings and cancellations, joining and leaving waiting lists, and check-ins. Each waits for the lock of an
    # event's row for up to BOOKING_LOCK_TIMEOUT.
    BOOKINGS = "bookings"
    # All other requests that change data. They wait for row locks for up to LOCK_TIMEOUT.
    WRITES = "writes"
    READS = "reads"


# The number of threads per lane in each worker. Four concurrent bookings already keep a core and PostgreSQL busy; more
# would only wait for each other. One password hash keeps a core busy.
THREADS = {
    Lane.HEALTH: 1,
    Lane.READINESS: 1,
    Lane.ACCOUNTS: 2,
    Lane.QUERIES: 2,
    Lane.BOOKINGS: 4,
    Lane.WRITES: 2,
    Lane.READS: 3,
}
# The maximum queue length per lane in each worker. Requests further back would not get a thread before the queue
# timeout. If the queue is full, the response is 503 at once.
MAX_QUEUE_LENGTH = {
    Lane.HEALTH: 100,
    Lane.READINESS: 50,
    Lane.ACCOUNTS: 50,
    Lane.QUERIES: 100,
    Lane.BOOKINGS: 400,
    Lane.WRITES: 100,
    Lane.READS: 400,
}

ACCOUNTS = re.compile(r"/(login|signup|password|password_change|delete-account)/$")
BOOKINGS = re.compile(r"/api/((reservation/)?(reservations|waitlist)/|(event/)?events/\d+/check-in/)")
LONG_READS = re.compile(r"/api/(reservation/)?calendar/|/admin/event/event/\d+/attendees\.csv$")
# Validated by the settings.
MOUNT_PATH = os.environ.get("SCRIPT_NAME", "")


class NotMounted(Exception):
    """The path of a request is outside of MOUNT_PATH."""


def is_mounted(path: str) -> bool:
    """Return whether a path, as the client sent it, belongs to the site."""
    return not MOUNT_PATH or path == MOUNT_PATH or path.startswith(f"{MOUNT_PATH}/")


def lane_of(method: str, path: str, query: str) -> Lane:
    """Return the lane of a request. Path and query may be percent-encoded."""
    path = unquote(path)
    if path == f"{MOUNT_PATH}/healthz":
        return Lane.HEALTH
    if path == f"{MOUNT_PATH}/readyz":
        return Lane.READINESS
    # Browsers send an OPTIONS request before some cross-origin requests. It waits for no lock and hashes no password.
    if ACCOUNTS.search(path) and method != "OPTIONS":
        return Lane.ACCOUNTS
    if method in READS or method == "OPTIONS":
        return Lane.QUERIES if query or LONG_READS.match(path, len(MOUNT_PATH)) else Lane.READS
    return Lane.BOOKINGS if BOOKINGS.match(path, len(MOUNT_PATH)) else Lane.WRITES
