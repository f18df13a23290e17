"""Draining: before the service stops, /readyz returns 503, so that load balancers send requests elsewhere."""

import mmap
import os
import signal
import threading
from typing import Any

# One byte of memory that the master shares with its workers, because it exists before they are forked.
_draining = mmap.mmap(-1, 1)


def is_draining() -> bool:
    """Return whether the service is about to stop. Until then, all requests but /readyz are still served."""
    return _draining[0] != 0


def drain_before_stop(server: Any, seconds: int) -> None:
    """Let gunicorn's master wait this long between SIGTERM and its graceful stop. A second SIGTERM stops it at once.

    Without this, the master closes its listening sockets first. New connections are then refused until the load
    balancer notices.
    """
    stop = server.handle_term

    def drain() -> None:
        if not seconds or is_draining():
            stop()
            return
        _draining[0] = 1
        server.log.info("Stopping in %d seconds", seconds)
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()

    server.handle_term = drain
