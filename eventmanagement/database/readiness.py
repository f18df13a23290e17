"""The database connection of the readiness check."""

import threading

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

# In seconds: how long the check waits for a server that sends nothing.
READINESS_WAIT = 3

_of_thread = threading.local()


def readiness_connection() -> BaseDatabaseWrapper:
    """Return this thread's connection outside of the pool, so that a busy pool does not make the service unready.

    Without a pool, this is Django's connection.
    """
    pool = getattr(connection, "pool", None)
    if pool is None:
        return connection
    # Without requests, nothing else closes idle connections.
    pool.close_idle()
    own: BaseDatabaseWrapper | None = getattr(_of_thread, "connection", None)
    if own is None:
        own = _of_thread.connection = connection.copy()
        own.settings_dict["OPTIONS"].pop("pool")
        own.settings_dict |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True, "WAIT": READINESS_WAIT}
    own.close_if_unusable_or_obsolete()
    return own
