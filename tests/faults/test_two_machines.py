"""Two instances of the service behind HAProxy, with one database."""

import http.client
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.faults.conftest import EVENT
from tests.hostile import test_proxy
from tests.hostile.test_proxy import Proxy
from tests.postgres import Cluster
from tests.service import TIMEOUT, Service, ask

pytestmark = test_proxy.pytestmark


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    directory = tmp_path_factory.mktemp("machines")
    settings = {"DRAIN_SECONDS": "3", "TRUSTED_PROXIES": "1", "THROTTLE_SIGNUP": "5/day", "WEB_CONCURRENCY": "1"}
    with ExitStack() as stack:
        cluster = Cluster()
        stack.callback(cluster.remove)
        cluster.start()
        services = []
        for name in ("first", "second"):
            services.append(Service(cluster, directory / name, **settings))
            stack.callback(services[-1].stop)
        proxy = Proxy(directory, *(service.port for service in services))
        stack.enter_context(proxy.running())
        yield proxy, services


def wait_until_served(service):
    """Wait until the proxy sends requests of clients to the service, in addition to its own checks."""
    deadline = time.monotonic() + TIMEOUT
    while "GET /api/" not in service.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_drained_restarts_fail_no_request(running):
    proxy, services = running
    token = services[0].sign_in("alice")
    event = services[0].request("POST", "/api/events/", EVENT | {"capacity": 5000}, token).json["id"]
    crowd = services[0].sign_in_crowd(3000)
    statuses = Counter()
    is_over = threading.Event()

    def run(tokens):
        for key in tokens:
            if is_over.is_set():
                return
            for method, path, body in (
                ("POST", "/api/reservations/", {"event_id": event}),
                ("GET", f"/api/events/{event}/", None),
            ):
                try:
                    statuses[proxy.request(method, path, body, key).status] += 1
                except (OSError, http.client.HTTPException) as error:
                    statuses[repr(error)] += 1

    clients = [threading.Thread(target=run, args=(crowd[n::3],)) for n in range(3)]
    for client in clients:
        client.start()
    for service in services:
        service.process.terminate()
        assert service.process.wait(TIMEOUT) == 0
        service.start()
        wait_until_served(service)
    is_over.set()
    for client in clients:
        client.join()

    assert set(statuses) == {200, 201}


def test_limit_counts_both_machines(running):
    proxy, _ = running

    def sign_up(number):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", proxy.https, timeout=TIMEOUT, source_address=("127.0.3.1", 0), context=proxy.tls
        )
        account = {"username": f"new{number}", "password": "correct horse battery"}
        return ask(connection, "POST", "/api/signup/", account).status

    with ThreadPoolExecutor(8) as threads:
        statuses = Counter(threads.map(sign_up, range(8)))

    assert statuses == {201: 5, 429: 3}
