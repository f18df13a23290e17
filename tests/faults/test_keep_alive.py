"""After a request is refused before its body was read, the next request on the connection still works."""

import re
import socket
import sys

import pytest
from django.db import connection

from tests.postgres import Cluster
from tests.service import GUNICORN, TIMEOUT, Service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="uses no database, so one run is enough")

SERVERS = {
    "gunicorn": [GUNICORN],
    "runserver": [sys.executable, "manage.py", "runserver", "--noreload", "127.0.0.1:{port}"],
}
# In bytes: more than one read of the worker, and more than a multipart body may have.
SIZE = 66_000
# A body that would be a second request if the server took it for one.
SMUGGLED = b"GET /api/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
GET = b"GET /api/events/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
JSON = "application/json"
REFUSED = [
    ("POST", "/api/reservations/", JSON, 401),
    ("POST", "/admin/login/", "application/x-www-form-urlencoded", 403),
    ("POST", "/api/nothing", JSON, 404),
    ("POST", "/nothing", JSON, 404),
    ("POST", f"/api/{'x' * 1024}", JSON, 404),
    ("PUT", "/api/signup/", JSON, 405),
    ("DELETE", "/api/events/", JSON, 405),
    ("OPTIONS", "/api/events/", JSON, 405),
    ("POST", "/api/signup/", "multipart/form-data; boundary=x", 413),
    ("POST", "/api/login/", "text/plain", 415),
    ("POST", "/api/login/", "application/json; charset=zlib", 415),
    ("GET", "/api/reservations/", JSON, 401),
    ("HEAD", "/api/events/", JSON, 200),
]


@pytest.fixture(scope="module", params=SERVERS)
def service(request, tmp_path_factory):
    cluster = Cluster()
    try:
        cluster.start()
        service = Service(cluster, tmp_path_factory.mktemp("log") / "log", SERVERS[request.param], DEBUG="true")
        yield service
        service.stop()
    finally:
        cluster.remove()


def head(method, path, content_type=JSON, host="localhost", size=SIZE):
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: {content_type}",
        f"Content-Length: {size}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def body(size=SIZE):
    return (SMUGGLED * (size // len(SMUGGLED) + 1))[:size]


def statuses(service, *parts):
    """Send these bytes over one connection, and return the statuses of the responses until the server closes it."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=TIMEOUT) as wire:
        for part in parts:
            wire.sendall(part)
        with wire.makefile("rb") as stream:
            return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", stream.read())]


def exchange(wire, request):
    """Send one request, and return the status of its response after reading all of the response."""
    wire.sendall(request)
    with wire.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while line := stream.readline().strip():
            name, _, value = line.decode().partition(":")
            if name.lower() == "content-length":
                length = int(value)
        stream.read(0 if request.startswith(b"HEAD") else length)
        return status


@pytest.mark.parametrize(("method", "path", "content_type", "status"), REFUSED)
def test_next_request_is_served(service, method, path, content_type, status):
    with socket.create_connection(("127.0.0.1", service.port), timeout=TIMEOUT) as wire:
        assert exchange(wire, head(method, path, content_type) + body()) == status
        assert exchange(wire, GET) == 200
        assert exchange(wire, head(method, path, content_type) + body()) == status
        assert exchange(wire, GET) == 200


@pytest.mark.parametrize(("method", "path", "content_type", "status"), REFUSED)
def test_pipelined_requests_are_served_in_order(service, method, path, content_type, status):
    request = head(method, path, content_type) + body()

    assert statuses(service, request + GET + request + LAST) == [status, 200, status, 200]


def test_wrong_host_does_not_affect_the_next_request(service):
    request = head("POST", "/api/login/", host="evil.example") + body()

    assert statuses(service, request + LAST) == [400, 200]


@pytest.mark.parametrize(
    ("path", "size"), [("/api/nothing", 3_000_000), ("/api/login/", 3_000_000), ("/admin/login/", 3_000_000)]
)
def test_body_over_the_limit_is_no_request(service, path, size):
    """The server may close the connection after the 413, or serve the next request."""
    assert statuses(service, head("POST", path, size=size) + body(size) + LAST) in ([413], [413, 200])


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_chunked_body_is_no_request(service, method):
    start = f"{method} /api/login/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, body())

    assert statuses(service, start + chunks + LAST) == [411]
