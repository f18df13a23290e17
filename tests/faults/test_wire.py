"""Invalid HTTP sent to gunicorn gets an immediate JSON response with a 4xx status."""

import json
import re
import socket

import pytest
from django.db import connection

from tests.service import TIMEOUT, running_service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="uses no database, so one run is enough")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running_service(tmp_path_factory.mktemp("wire") / "log") as (service, _):
        yield service


def send(service, raw):
    """Send bytes, and return the status, headers and body of the first response."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=TIMEOUT) as wire:
        wire.sendall(raw)
        with wire.makefile("rb") as response:
            status = int(response.readline().split()[1])
            headers = {}
            while (line := response.readline().strip()) != b"":
                name, _, value = line.decode().partition(": ")
                headers[name.lower()] = value
            return status, headers, response.read(int(headers.get("content-length", 0)))


HOST = b"Host: localhost\r\n"
GET = b"GET /api/events/ HTTP/1.1\r\n" + HOST
POST = b"POST /api/signup/ HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (GET + b"Authorization: Token " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /api/events/?search=" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (GET + b"".join(b"X-%d: x\r\n" % number for number in range(200)) + b"\r\n", 431),
        (GET + b"X: nul\0\r\n\r\n", 400),
        (GET + b"no colon\r\n\r\n", 400),
        (b"GET /api/events/ HTTP/9.9\r\n" + HOST + b"\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/events/?page=" + b"9" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"POST /api/nothing HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}", 404),
        (b"G\xffT /api/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (POST + b"Transfer-Encoding: gzip2\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: many\r\n\r\n", 400),
        (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (POST + b"Content-Length: 9999999999999\r\n\r\n{}", 413),
        (POST + b"Expect: miracles\r\nContent-Length: 2\r\n\r\n{}", 400),
        (b"GET /api/events/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET /api/\xff\xfe/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /api/%00/%ff/%2e%2e/ HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"GET /api/events/%D9%A1/ HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (POST + b"Content-Type: application/json; charset=zlib\r\nContent-Length: 2\r\n\r\n{}", 400),
    ],
)
def test_hostile_bytes_are_refused_in_json(service, raw, status):
    answered, headers, body = send(service, raw)

    assert answered == status
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"]
    assert json.loads(body).keys()


@pytest.mark.parametrize("charset", ["zlib", "utf-16", "nonsense"])
def test_charset_does_not_reach_the_query(service, charset):
    raw = GET.replace(b"events/", b"events/?search=x") + f"Content-Type: x; charset={charset}\r\n\r\n".encode()

    assert send(service, raw)[0] == 200


@pytest.mark.parametrize("path", ["/static/admin/css/base.css", "/static/admin/css/base.css?v=1"])
def test_asset_is_served_whole(service, path):
    response = service.request("GET", path)

    assert response.status == 200
    assert int(response.headers["Content-Length"]) == len(response.text.encode()) > 10_000


@pytest.mark.parametrize("path", ["/api/reservations/", "/api/nothing", "/admin/login/"])
@pytest.mark.parametrize("size", [20, 60_000])
def test_keep_alive_after_unread_body(service, path, size):
    post = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=TIMEOUT) as wire:
        for request in (post.encode() + b"x" * size, GET + b"\r\n") * 2:
            wire.sendall(request)
        wire.sendall(GET + b"Connection: close\r\n\r\n")
        with wire.makefile("rb") as stream:
            statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", stream.read())]

    assert statuses[1::2] == [200, 200]
    assert statuses[4] == 200
    assert len(service.workers()) == 2


@pytest.mark.parametrize(
    "header",
    [b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off", b"SCRIPT_NAME: /nowhere", b"PATH_INFO: /nowhere"],
)
def test_proxy_headers_are_ignored_without_proxy(service, header):
    """By default gunicorn rejects the first request as contradictory, and uses the paths from the others."""
    status, _, body = send(service, GET + header + b"\r\n\r\n")

    assert status == 200
    assert "results" in json.loads(body)


def test_worker_errors_have_security_headers(service):
    _, headers, _ = send(service, b"nonsense\r\n\r\n")

    assert headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_server_header_has_no_version(service):
    _, headers, _ = send(service, GET + b"\r\n")

    assert "python" not in json.dumps(headers).lower()
    assert "/" not in headers.get("server", "")


def test_clients_who_stop_in_mid_request_do_not_stop_the_server(service):
    """There are more clients than threads. Half of them stop within the headers, the others within the body."""
    beginnings = [b"POST /api/sig", POST + b"Content-Length: 100\r\n\r\n{"] * 10
    silent = [socket.create_connection(("127.0.0.1", service.port), timeout=TIMEOUT) for _ in beginnings]
    try:
        for wire, beginning in zip(silent, beginnings, strict=True):
            wire.sendall(beginning)

        assert send(service, GET + b"\r\n")[0] == 200
    finally:
        for wire in silent:
            wire.close()


def test_client_with_huge_body_receives_413(service):
    response = service.request("POST", "/api/signup/", {"username": "x" * 20_000_000})

    assert response.status == 413
    assert response.json == {"detail": "The request body is too large.", "code": "too_large"}
