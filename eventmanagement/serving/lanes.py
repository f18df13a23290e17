"""Which requests share threads, so that slow requests of one kind never take the threads of another.

Each worker has a few threads for each lane. A request whose lane is busy waits in the lane's queue
and takes no thread meanwhile.
"""

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
    # PostgreSQL may work for READ_TIMEOUT on each of them.
    SEARCHES = "searches"
    # They wait for the rows of events, and for the disk.
    WRITES = "writes"
    READS = "reads"


# Threads of one worker. Four bookings at once keep a core and PostgreSQL busy, and more of them only
# wait for one another. A password hash keeps a core busy by itself.
THREADS = {
    Lane.HEALTH: 1,
    Lane.READINESS: 1,
    Lane.ACCOUNTS: 2,
    Lane.SEARCHES: 2,
    Lane.WRITES: 4,
    Lane.READS: 3,
}

ACCOUNTS = re.compile(r"/(login|signup|password|password_change|delete-account)/$")
SEARCH = re.compile(r"(^|&)(search|q)=")


def lane_of(method: str, path: str, query: str) -> Lane:
    """Choose the lane of a request by its target as it was sent, percent-encoded or not."""
    path = unquote(path)
    if path.endswith("/healthz"):
        return Lane.HEALTH
    if path.endswith("/readyz"):
        return Lane.READINESS
    if ACCOUNTS.search(path):
        return Lane.ACCOUNTS
    if method not in READS:
        return Lane.WRITES
    if SEARCH.search(unquote(query)):
        return Lane.SEARCHES
    return Lane.READS
