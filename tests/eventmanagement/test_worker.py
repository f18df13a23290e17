"""How a worker of gunicorn's shares the connections with the others."""

import socket

import pytest
from gunicorn.config import Config

from eventmanagement import worker as module


@pytest.fixture
def waits(monkeypatch):
    """How long the worker left each connection to the others, in seconds; it does not really wait."""
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    return waits


@pytest.fixture
def worker(monkeypatch):
    worker = module.Worker(1, 1, [], None, 30, Config(), None)
    monkeypatch.setattr(worker, "enqueue_req", lambda connection: connection.sock.close())
    yield worker
    worker.tmp.close()


@pytest.fixture
def accept(worker):
    """Connect to the worker, let it accept, and give whether it did."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)

        def accept(somebody_connects=True):
            had = worker.nr_conns
            if somebody_connects:
                with socket.create_connection(listener.getsockname()):
                    worker.accept(listener)
            else:
                worker.accept(listener)
            return worker.nr_conns > had

        yield accept


def test_the_busier_a_worker_is_the_longer_it_leaves_a_connection_to_others(worker, waits, accept):
    for count in (0, 1, 20, 1000, 2000):
        worker.nr_conns = count
        assert accept()

    assert waits[0] == 0
    assert 0 < waits[1] < waits[2] < waits[3]
    assert waits[3] == waits[4] <= 0.001


def test_idle_connections_do_not_count(worker, waits, accept):
    worker.nr_conns = 5
    worker.keepalived_conns.extend([None] * 3)
    worker.pending_conns.append(None)

    accept()

    assert waits == [module.LEAD]


def test_connection_that_another_took_meanwhile_is_not_missed(worker, waits, accept):
    worker.nr_conns = 3

    assert not accept(somebody_connects=False)
