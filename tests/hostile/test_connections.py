"""Clients that hold connections open, send slowly, don't read or don't close do not affect other clients."""

import os
import socket
from contextlib import ExitStack

import pytest
from django.db import connection

from tests.hostile.probe import Probe, create_event
from tests.service import TIMEOUT, running_service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="tests the server, so one run is enough")

# The duration of an attack in seconds.
ATTACK = float(os.environ.get("HOSTILE_SECONDS", 1.5))
HOST = b"Host: localhost\r\n"
GET = b"GET /api/events/ HTTP/1.1\r\n" + HOST
POST = b"POST /api/login/ HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
# A request for a file of more than 1 MB.
LARGE = b"GET /static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js HTTP/1.1\r\n" + HOST + b"\r\n"
ATTACKS = {
    # number of clients, first bytes of each client, bytes that each client sends every half second
    "silent": (300, b"", b""),
    "drip the request line": (100, b"G", b"E"),
    "drip headers": (100, GET, b"X: x\r\n"),
    "drip one header": (100, GET + b"X: ", b"x"),
    "drip a body": (100, POST + b"Content-Length: 1000\r\n\r\n", b"x"),
    # More connections than two workers accept.
    "begin a body, in a crowd,": (1900, POST + b"Content-Length: 1000\r\n\r\n", b""),
    "drip a huge body": (100, POST + b"Content-Length: 20000000\r\n\r\n", b"x"),
    "drip chunks": (100, POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "drip chunks at the admin's": (
        100,
        POST.replace(b"/api/login/", b"/admin/login/") + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n",
    ),
    "drip an edit of the event": (
        20,
        b"PATCH /api/events/{event}/ HTTP/1.1\r\nAuthorization: Token {token}\r\nContent-Type: application/json\r\n"
        + HOST
        + b"Content-Length: 1000\r\n\r\n",
        b" ",
    ),
    "drip after a refusal": (100, POST.replace(b"login", b"logout") + b"Content-Length: 1000\r\n\r\n", b"x"),
    "expect and send nothing": (100, POST + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n", b""),
    "read nothing": (100, LARGE * 8, b""),
    "close nothing": (100, GET + b"Connection: close\r\n\r\n", b""),
    "close nothing after nonsense": (100, b"nonsense\r\n\r\n", b""),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    # The probe logs in more often than the default limit allows.
    with running_service(
        tmp_path_factory.mktemp("connections") / "log", THROTTLE_LOGIN="1000/min", THROTTLE_LOGIN_ADDRESS="off"
    ) as (service, _):
        yield service


@pytest.fixture(scope="module")
def tokens(service):
    return iter(service.sign_in_crowd(300 * len(ATTACKS)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_does_not_affect_others(service, tokens, attack):
    count, first, more = ATTACKS[attack]
    people = [next(tokens) for _ in range(300)]
    event = create_event(service, people[0])
    probe = Probe(service, people, event)
    first = first.replace(b"{event}", str(event).encode()).replace(b"{token}", people[0].encode())
    with ExitStack() as connections:
        clients = [
            connections.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=TIMEOUT))
            for _ in range(count)
        ]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        probe.watch_drip(clients, first, more, ATTACK)

    probe.report(f"{count} clients {attack}")
    probe.assert_unaffected()
