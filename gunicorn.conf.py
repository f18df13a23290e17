"""Configuration of gunicorn. ``gunicorn`` without arguments reads this file from the current directory."""

import gc
import os
from typing import Any

from eventmanagement.environment import env
from eventmanagement.serving.drain import drain_before_stop
from eventmanagement.serving.lanes import THREADS

wsgi_app = "eventmanagement.wsgi"
bind = f"127.0.0.1:{env.number('PORT', '8000', lowest=1, highest=65535)}"

# A request spends most of its time waiting for the database, so each worker has several threads. One
# worker per core lets Python code run in parallel. The threads share the connections of a pool.
worker_class = "eventmanagement.serving.worker.Worker"
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# gunicorn itself reads WEB_CONCURRENCY too, before this file, and ends with a ValueError if it is not a number.
workers_asked_for = env.number("WEB_CONCURRENCY", str(cores), lowest=1, highest=9999)
workers = min(workers_asked_for, 2 * cores)
threads = sum(THREADS.values())
# PostgreSQL's limit is 100 connections by default, and some of these are reserved. Each worker has one for /readyz.
MAX_CONNECTIONS = 90
default_pool_size = max(1, min(threads, MAX_CONNECTIONS // workers - 1))
connections = workers * (default_pool_size + 1)
has_too_many_connections = "DATABASE_POOL_SIZE" not in os.environ and connections > MAX_CONNECTIONS
os.environ.setdefault("DATABASE_POOL_SIZE", str(default_pool_size))
# The maximum number of client connections of one worker. Together with the database connections, it stays below
# 1,024, the usual limit on open files of a process.
worker_connections = 900
# Load the application before forking, so that the workers share its memory. An invalid setting is then
# reported once, and the server does not start.
preload_app = True
# ``sendfile`` is not set here, because any value would switch it off. The worker uses it for large files.

# Seconds between SIGTERM and the graceful stop, in which /readyz returns 503.
drain_seconds = env.number("DRAIN_SECONDS", "0", lowest=0, highest=3600)
# Seconds that running requests may take to finish when the server shuts down.
graceful_timeout = 20
# Seconds without a heartbeat after which a worker is considered hung and is replaced.
timeout = 60
# Seconds that a connection stays open after a response, for the next request. Longer than load balancers and proxies
# keep an idle connection (60 seconds by default on AWS and in nginx), so that they close it first. Otherwise they could
# send a request on a connection that is just being closed. A connection without any request has a shorter timeout
# (FIRST_BYTE_TIMEOUT in eventmanagement/serving/worker.py).
keepalive = env.number("KEEPALIVE", "75", lowest=1, highest=3600)
# gunicorn trusts no proxy headers. Django reads X-Forwarded-* according to TRUSTED_PROXIES, and the mount path comes
# from the environment variable SCRIPT_NAME.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
# In bytes. Large enough that a query parameter with 5,000 digits reaches Django, which returns 400 for it.
limit_request_line = 8190
control_socket_disable = True
# The parser that the tests run with. "auto" would use gunicorn_h1c if it happens to be installed.
http_parser = "python"
# One listening socket per worker: the kernel distributes connections among them. With a shared socket, one worker
# could accept a whole burst of connections.
reuse_port = True

# gunicorn's access log stays off: the application logs each request itself, with its duration, route and user
# (eventmanagement/serving/logs.py).


def on_starting(server: Any) -> None:
    """Log a warning if there are fewer workers than asked for, or too many for PostgreSQL's default settings."""
    if workers < workers_asked_for:
        message = "WEB_CONCURRENCY=%d is more than twice the number of cores: starting %d workers"
        server.log.warning(message, workers_asked_for, workers)
    if has_too_many_connections:
        server.log.warning(
            "%d workers may open %d connections to PostgreSQL: raise max_connections of PostgreSQL, which is 100 by "
            "default, and set DATABASE_POOL_SIZE",
            workers,
            connections,
        )


def when_ready(server: Any) -> None:
    """Set up draining. Exclude the loaded objects from garbage collection in the workers.

    Garbage collection would copy the memory pages that the workers share.
    """
    drain_before_stop(server, drain_seconds)
    gc.collect()
    gc.freeze()
