"""Draining before a stop, with gunicorn."""

import logging
import signal
from types import SimpleNamespace

import pytest
from django.db import connection

from eventmanagement.serving import drain
from tests.service import TIMEOUT, running_service


@pytest.fixture
def timers(monkeypatch):
    """The timers that are started, as pairs of seconds and arguments."""
    started = []

    class Timer:
        def __init__(self, seconds, function, arguments):
            self.told = seconds, arguments

        def start(self):
            started.append(self.told)

    monkeypatch.setattr(drain.threading, "Timer", Timer)
    monkeypatch.setattr(drain, "_draining", bytearray(1))
    return started


@pytest.fixture
def server():
    """A stand-in for gunicorn's master. It records its stops."""
    stops = []
    return SimpleNamespace(handle_term=lambda: stops.append(True), log=logging.getLogger(__name__), stops=stops)


def test_first_signal_drains_and_stops_later(server, timers):
    drain.drain_before_stop(server, 7)

    server.handle_term()

    assert drain.is_draining()
    assert server.stops == []
    assert timers == [(7, (drain.os.getpid(), signal.SIGTERM))]


def test_second_signal_stops_at_once(server, timers):
    drain.drain_before_stop(server, 7)

    server.handle_term()
    server.handle_term()

    assert server.stops == [True]
    assert len(timers) == 1


def test_without_seconds_the_first_signal_stops(server, timers):
    drain.drain_before_stop(server, 0)

    server.handle_term()

    assert server.stops == [True]
    assert timers == []
    assert not drain.is_draining()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="one run is enough")
def test_draining_service_is_not_ready_but_serves(tmp_path):
    with running_service(tmp_path / "log", DRAIN_SECONDS="600") as (service, _):
        service.process.terminate()
        service.wait_for_status("/readyz", 503)

        assert service.request("GET", "/api/events/").status == 200
        assert service.request("GET", "/readyz").json["detail"] == "The server is about to stop."
        service.process.terminate()
        assert service.process.wait(TIMEOUT) == 0
