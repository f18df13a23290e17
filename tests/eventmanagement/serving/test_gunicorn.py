"""What the worker needs of gunicorn, most of it private: a release that changes it fails here.

A worker runs in gunicorn's own event loop: first in a thread of the test, then under gunicorn itself.
"""

import http.client
import os
import signal
import socket
import subprocess
import threading
from contextlib import closing
from types import SimpleNamespace

import pytest
from django.conf import settings
from gunicorn.config import Config

from eventmanagement.serving.worker import Worker
from tests.service import GUNICORN, TIMEOUT

# The worker's methods that gunicorn calls, and gunicorn's methods that the worker calls.
OVERRIDDEN = [
    "get_thread_pool",
    "accept",
    "wait_for_and_dispatch_events",
    "murder_pending",
    "murder_keepalived",
    "_cap_keepalive",
]
CALLED = ["handle_request", "handle_exit"]
# In bytes: more than fits into the socket buffers of both sides, so that the event loop has to send the rest.
LARGE = 20_000_000


class Calls:
    """Collects the names of methods in the order of their calls."""

    def __init__(self):
        self.names = []
        self.changed = threading.Condition()

    def add(self, name):
        with self.changed:
            self.names.append(name)
            self.changed.notify_all()

    def wait_for(self, name, after):
        """Wait until the method was called after the other one, or until the event loop has ended."""
        with self.changed:
            assert self.changed.wait_for(lambda: "end" in self.names or self.has(name, after), TIMEOUT)

    def has(self, name, after):
        return after in self.names and name in self.names[self.names.index(after) :]


@pytest.fixture
def calls(monkeypatch):
    calls = Calls()

    def watch(name):
        method = getattr(Worker, name)

        def call(worker, *arguments, **options):
            calls.add(name)
            return method(worker, *arguments, **options)

        monkeypatch.setattr(Worker, name, call)

    for name in OVERRIDDEN + CALLED:
        watch(name)
    return calls


@pytest.fixture
def gate():
    """Lets a test hold a request inside the application until it opens the gate."""
    return SimpleNamespace(is_reached=threading.Event(), is_open=threading.Event())


@pytest.fixture
def worker(calls, gate, monkeypatch):
    """A worker whose event loop runs in a thread until the test is over."""

    def application(environ, start_response):
        gate.is_reached.set()
        gate.is_open.wait(TIMEOUT)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    def run():
        try:
            worker.init_process()
        finally:
            calls.add("end")

    # Only the main thread can install signal handlers.
    monkeypatch.setattr(Worker, "init_signals", lambda worker: None)
    levels = ["access", "debug", "info", "warning", "error", "exception", "close_on_exec"]
    log = SimpleNamespace(**dict.fromkeys(levels, lambda *arguments, **options: None))
    listener = socket.create_server(("127.0.0.1", 0))
    app = SimpleNamespace(wsgi=lambda: application)
    worker = Worker(1, os.getppid(), [listener], app, TIMEOUT, Config(), log)
    thread = threading.Thread(target=run)
    thread.start()
    yield worker
    gate.is_open.set()
    worker.alive = False
    thread.join(TIMEOUT)
    listener.close()
    worker.tmp.close()
    for end in worker.PIPE:
        os.close(end)
    assert not thread.is_alive()


@pytest.fixture
def client(worker):
    with closing(http.client.HTTPConnection(*worker.sockets[0].getsockname(), timeout=TIMEOUT)) as client:
        yield client


def test_event_loop_calls_what_the_worker_overrides(worker, client, calls, gate):
    gate.is_open.set()
    client.request("GET", "/")
    body = client.getresponse().read()
    client.close()

    worker.handle_exit(signal.SIGTERM, None)

    calls.wait_for("end", after="handle_exit")
    assert body == b"hello"
    assert set(OVERRIDDEN + CALLED) <= set(calls.names)
    assert worker.nr_conns == 0


@pytest.mark.parametrize("stop", ["handle_exit", "handle_quit"])
def test_event_loop_goes_on_while_a_request_is_under_way(worker, client, calls, gate, stop):
    client.request("GET", "/")
    assert gate.is_reached.wait(TIMEOUT)

    getattr(worker, stop)(signal.SIGTERM, None)

    calls.wait_for("_cap_keepalive", after="handle_exit")
    worker.method_queue.defer(lambda: None)
    calls.wait_for("murder_pending", after="_cap_keepalive")
    gate.is_open.set()
    assert client.getresponse().read() == b"hello"


def large_application(environ, start_response):
    """Serve a large response after the test has opened the gate."""
    with socket.create_connection(("127.0.0.1", int(os.environ["GATE"])), TIMEOUT) as gate:
        gate.recv(1)
    start_response("200 OK", [("Content-Length", str(LARGE))])
    return [b"x" * LARGE]


@pytest.fixture
def service(tmp_path):
    """gunicorn with one worker, its address, and the gate of its application."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(TIMEOUT)
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                [GUNICORN, f"--bind=fd://{listener.fileno()}", f"{__name__}:large_application"],
                cwd=settings.BASE_DIR,
                env=os.environ | {"GATE": str(gate.getsockname()[1]), "WEB_CONCURRENCY": "1"},
                pass_fds=[listener.fileno()],
                stdout=log,
                stderr=log,
                # A separate process group, as in a terminal.
                start_new_session=True,
            )
        yield SimpleNamespace(process=process, address=listener.getsockname(), gate=gate)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("interrupt", [os.killpg, os.kill], ids=["Ctrl-C", "signal to the master"])
def test_interrupt_ends_the_service_when_the_request_under_way_is_answered(service, interrupt):
    with closing(http.client.HTTPConnection(*service.address, timeout=TIMEOUT)) as client:
        client.request("GET", "/")
        request_under_way, _ = service.gate.accept()

        interrupt(service.process.pid, signal.SIGINT)

        request_under_way.close()
        response = client.getresponse()
        assert len(response.read()) == LARGE
    assert service.process.wait(TIMEOUT) == 0
