"""How gunicorn serves the project; ``gunicorn`` alone, started beside this file, reads it."""

import gc
import os
from typing import Any

from environs import validate

from eventmanagement.environment import env
from eventmanagement.serving.lanes import THREADS

wsgi_app = "eventmanagement.wsgi"
bind = f"127.0.0.1:{env.int('PORT', 8000, validate=validate.Range(1, 65535))}"

# A request waits for the database most of its time, so threads share a worker's memory; a worker
# for each core lets them compute beside each other. Each thread keeps a connection of its own.
worker_class = "eventmanagement.serving.worker.Worker"
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
workers = min(env.int("WEB_CONCURRENCY", cores, validate=validate.Range(min=1)), 2 * cores)
threads = sum(THREADS.values())
# Connections of one worker: with the database's and the log's, below the 1,024 files that a process may usually open.
worker_connections = 900
# Loaded once, before the workers, who share its memory: settings that make no sense are named once
# and end the server.
preload_app = True
# The worker collects each response whole before it sends it.
sendfile = False

# Seconds that requests under way may take to end when the server is told to stop.
graceful_timeout = 20
# Seconds without a sign of life after which a worker counts as hung and is replaced.
timeout = 60
keepalive = 5
# Nobody's headers are believed here: Django believes X-Forwarded-* as TRUSTED_PROXIES says, and the path that the
# project is mounted under comes from the environment (SCRIPT_NAME).
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
# Bytes: a query value of five thousand digits is Django's to refuse.
limit_request_line = 8190
control_socket_disable = True

# No access log of gunicorn's: the application writes a line for each request, with its duration
# and more than gunicorn knows of it (eventmanagement/serving/logs.py).


def when_ready(server: Any) -> None:
    """Keep what is loaded out of the workers' garbage collections, which would copy it by marking it."""
    gc.collect()
    gc.freeze()
