"""Which requests share threads, so that slow requests of one kind never take the threads of another.

Each worker has a few threads for each lane. A request whose lane is busy waits in the lane's queue
and takes no thread meanwhile.
"""

import os
import re
from enum import StrEnum
from urllib.parse import unquote

READS = {"GET", "HEAD"}


class Lane(StrEnum):
    """The kinds of requests that wait for different things."""

    # A server whose health check waits is restarted, so this lane asks no database.
    HEALTH = "health"
    READINESS = "readiness"
    # Passwords are hashed there, 0.3 seconds of CPU each.
    ACCOUNTS = "accounts"
    # Searches, filters, orders and deep pages: PostgreSQL may work for READ_TIMEOUT on each statement of them.
    QUERIES = "queries"
    # Bookings and cancellations. They wait for the rows of events, for BOOKING_LOCK_TIMEOUT each.
    BOOKINGS = "bookings"
    # They wait for LOCK_TIMEOUT.
    WRITES = "writes"
    READS = "reads"


# Threads of one worker. Four bookings at once keep a core and PostgreSQL busy, and more of them only
# wait for one another. A password hash keeps a core busy by itself.
THREADS = {
    Lane.HEALTH: 1,
    Lane.READINESS: 1,
    Lane.ACCOUNTS: 2,
    Lane.QUERIES: 2,
    Lane.BOOKINGS: 4,
    Lane.WRITES: 2,
    Lane.READS: 3,
}
# Requests that wait for a thread of their lane, in one worker. A longer queue would not be served within the time
# that a request waits: the response to the next one is 503, at once.
LONGEST_QUEUE = {
    Lane.HEALTH: 100,
    Lane.READINESS: 50,
    Lane.ACCOUNTS: 50,
    Lane.QUERIES: 100,
    Lane.BOOKINGS: 400,
    Lane.WRITES: 100,
    Lane.READS: 400,
}

ACCOUNTS = re.compile(r"/(login|signup|password|password_change|delete-account)/$")
BOOKINGS = re.compile(r"/api/(reservation/)?reservations/")
PREFIX = os.environ.get("SCRIPT_NAME", "")


def lane_of(method: str, path: str, query: str) -> Lane:
    """Choose the lane of a request by its target as it was sent, percent-encoded or not."""
    path = unquote(path)
    if path == f"{PREFIX}/healthz":
        return Lane.HEALTH
    if path == f"{PREFIX}/readyz":
        return Lane.READINESS
    if ACCOUNTS.search(path):
        return Lane.ACCOUNTS
    if method in READS:
        return Lane.QUERIES if query else Lane.READS
    return Lane.BOOKINGS if BOOKINGS.match(path, len(PREFIX)) else Lane.WRITES
