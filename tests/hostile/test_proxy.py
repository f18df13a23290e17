"""deploy/haproxy.cfg in front of the service: its limits, its headers, and the effect of attacks on other clients."""

import http.client
import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import connection

from tests.hostile.probe import Probe, create_event
from tests.hostile.test_connections import ATTACK, ATTACKS
from tests.service import TIMEOUT, ask, running_service

# Debian installs it in /usr/sbin, which is not on every user's PATH.
HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="tests the proxy, so one run is enough"),
    pytest.mark.skipif(not HAPROXY or not shutil.which("openssl"), reason="needs haproxy and openssl"),
    pytest.mark.skipif(os.geteuid() != 0, reason="HAProxy must start as root to drop its privileges"),
]

# The limits per client IP in the configuration.
CONNECTIONS, NEW_CONNECTIONS, REQUESTS = 200, 500, 1000
SELF_SIGNED = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
SELF_SIGNED += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Proxy:
    """HAProxy with a self-signed certificate and two servers on these ports. Without ``second``, only one runs."""

    def __init__(self, directory, server, second=None):
        self.http, self.https = free_port(), free_port()
        certificate, key, both = (directory / name for name in ("certificate", "key", "both"))
        subprocess.run(
            [*SELF_SIGNED, "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        self.tls = ssl.create_default_context(cafile=certificate)
        # The probe sends its requests from many IP addresses, to stay below the limits.
        self.people = itertools.cycle(f"127.0.1.{number}" for number in range(1, 251))
        self.strangers = (f"127.0.2.{number}" for number in range(1, 251))
        self.environment = os.environ | {
            "HTTP": f"127.0.0.1:{self.http}",
            "HTTPS": f"127.0.0.1:{self.https}",
            "CERTIFICATE": str(both),
            "SERVER1": f"127.0.0.1:{server}",
            "SERVER2": f"127.0.0.1:{second or free_port()}",
            "CHECK_INTERVAL": "200ms",
        }
        self.log = directory / "log"
        self.command = [HAPROXY, "-db", "-f", settings.BASE_DIR / "deploy" / "haproxy.cfg"]

    @contextmanager
    def running(self):
        with self.log.open("w") as log:
            process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        try:
            deadline = time.monotonic() + TIMEOUT
            while True:
                try:
                    self.connect(next(self.people)).close()
                    break
                except OSError:
                    assert process.poll() is None, self.log.read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield self
        finally:
            process.terminate()
            process.wait(TIMEOUT)

    def connect(self, address, tls=True, timeout=TIMEOUT):
        """Open a connection from this loopback IP address."""
        port = self.https if tls else self.http
        plain = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(address, 0))
        return self.tls.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain

    def request(self, method, path, body=None, token="", timeout=TIMEOUT):
        address = (next(self.people), 0)
        tls = {"timeout": timeout, "source_address": address, "context": self.tls}
        return ask(http.client.HTTPSConnection("127.0.0.1", self.https, **tls), method, path, body, token)

    def send(self, raw, address=None, tls=True):
        """Send bytes from this IP address, or from a new one. Returns the response and its body."""
        with self.connect(address or next(self.strangers), tls) as client:
            client.sendall(raw)
            response = http.client.HTTPResponse(client)
            response.begin()
            return response, response.read()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    log = tmp_path_factory.mktemp("proxied") / "log"
    limits = {"THROTTLE_LOGIN": "1000/min", "THROTTLE_LOGIN_ADDRESS": "3/hour"}
    with running_service(log, TRUSTED_PROXIES="1", **limits) as (service, _):
        yield service


@pytest.fixture(scope="module")
def proxy(service, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("haproxy"), service.port).running() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def tokens(service):
    return iter(service.sign_in_crowd(2000))


@pytest.fixture
def probe(service, proxy, tokens):
    people = list(itertools.islice(tokens, 300))
    return Probe(proxy, people, create_event(service, people[0]))


@pytest.mark.parametrize("attack", ["silent", "drip headers", "drip a body", "drip a huge body"])
def test_attack_does_not_affect_others(proxy, probe, attack):
    count, first, more = ATTACKS[attack]
    count, attacker = min(count, CONNECTIONS), next(proxy.strangers)
    with ExitStack() as connections:
        clients = [connections.enter_context(proxy.connect(attacker)) for _ in range(count)]
        probe.watch_drip(clients, first, more, ATTACK)

    probe.report(f"{count} clients {attack}")
    probe.assert_unaffected()


def is_closed(client):
    """Return whether the other side has closed or reset this connection."""
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_two_thousand_connections_from_one_address(proxy, probe):
    attacker = next(proxy.strangers)
    with ExitStack() as connections, probe.running():
        clients = []
        for _ in range(2000):
            # Without TLS, because the limit applies before TLS. The connection may be closed before connect() returns.
            with suppress(ConnectionResetError):
                clients.append(connections.enter_context(proxy.connect(attacker, tls=False)))
        # The first connection is within the limit. The others must be closed before its own idle timeout closes it.
        first = clients[0]
        while len(clients) > CONNECTIONS and clients[0] is first:
            clients = [client for client in clients if not is_closed(client)]
        assert clients[0] is first
        assert len(clients) <= CONNECTIONS
    probe.report("2000 connections from one address")
    probe.assert_unaffected()


def test_new_connections_of_one_address_are_limited(proxy):
    attacker = next(proxy.strangers)
    # HAProxy's rate counter is approximate, so send some more than the limit.
    for _ in range(NEW_CONNECTIONS * 6 // 5):
        with suppress(ConnectionError):
            proxy.connect(attacker, tls=False).close()

    with pytest.raises(ConnectionError):
        proxy.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", attacker, tls=False)

    assert proxy.request("GET", "/healthz").status == 200


def test_requests_of_one_address_are_limited(proxy):
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with proxy.connect(next(proxy.strangers), tls=False) as client:
        statuses = []
        while len(statuses) <= REQUESTS and 429 not in statuses:
            client.sendall(request)
            response = http.client.HTTPResponse(client)
            response.begin()
            body = response.read()
            statuses.append(response.status)

    assert statuses == [308] * REQUESTS + [429]
    assert body == b'{"detail": "Too many requests from this IP address.", "code": "throttled"}'
    assert response.headers["Retry-After"] == "10"
    assert proxy.request("GET", "/healthz").status == 200


def test_plain_http_is_redirected(proxy):
    response, _ = proxy.send(b"GET /docs/swagger/?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n", tls=False)

    assert response.status == 308
    assert response.headers["Location"] == "https://localhost/docs/swagger/?a=b"


def test_service_detects_https(proxy, service):
    # Django only sends this header over HTTPS.
    assert "strict-transport-security" in proxy.request("GET", "/healthz").headers
    assert "Strict-Transport-Security" not in service.request("GET", "/healthz").headers


@pytest.mark.parametrize("header", ["X-Forwarded-For", "x-forwarded-FOR", "X_Forwarded_For", "X-Forwarded_For"])
def test_forged_forwarded_header_is_replaced(proxy, header):
    def guess(address, number):
        body = b'{"username": "user%d", "password": "wrong"}' % number
        lines = [
            b"POST /api/login/ HTTP/1.1",
            b"Host: localhost",
            b"Content-Type: application/json",
            b"%s: 203.0.113.%d" % (header.encode(), number),
            b"Content-Length: %d" % len(body),
        ]
        return proxy.send(b"\r\n".join([*lines, b"", body]), address)[0].status

    one, another = next(proxy.strangers), next(proxy.strangers)

    assert [guess(one, number) for number in range(4)] == [400, 400, 400, 429]
    assert guess(another, 0) == 400


@pytest.mark.parametrize("header", ["X-Request-ID", "X_Request_Id"])
def test_proxy_sets_request_id(proxy, header):
    raw = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n%s: chosen\r\n\r\n" % header.encode()

    response, _ = proxy.send(raw)

    [identity] = response.headers.get_all("X-Request-ID")
    assert identity != "chosen"
    deadline = time.monotonic() + TIMEOUT
    while identity not in proxy.log.read_text():
        # HAProxy writes the log line after the response.
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Echo(BaseHTTPRequestHandler):
    """A server that returns the headers of the request in its response."""

    def do_GET(self):
        if self.path == "/readyz":
            self.server.checks.put(self.requestline)
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def echo(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server, ThreadPoolExecutor(1) as thread:
        server.checks = Queue()
        thread.submit(server.serve_forever)
        try:
            with Proxy(tmp_path, server.server_port).running() as proxy:
                proxy.checks = server.checks
                yield proxy
        finally:
            server.shutdown()


def test_proxy_headers_are_replaced(echo):
    names = ["for", "proto", "host", "port", "prefix", "anything"]
    claimed = [f"X-Forwarded-{name}" for name in names] + ["x_forwarded_for", "X-forwarded_Proto", "Forwarded"]
    claimed += ["X-Request-ID", "x_request_id"]
    lines = ["GET / HTTP/1.1", "Host: example.org", "Accept: x/y", *(f"{name}: claimed" for name in claimed)]
    stranger = next(echo.strangers)

    _, body = echo.send("\r\n".join([*lines, "", ""]).encode(), stranger)

    headers = [(name.lower(), value) for name, value in json.loads(body)]
    [identity] = [value for name, value in headers if name == "x-request-id"]
    assert str(UUID(identity)) == identity
    assert sorted(headers) == [
        ("accept", "x/y"),
        ("connection", "close"),
        ("host", "example.org"),
        ("x-forwarded-for", stranger),
        ("x-forwarded-proto", "https"),
        ("x-request-id", identity),
    ]


def test_health_check_asks_for_readiness(echo):
    assert echo.checks.get(timeout=TIMEOUT) == "GET /readyz HTTP/1.0"


def test_incomplete_body_is_408(proxy):
    raw = b"POST /api/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx"

    response, body = proxy.send(raw)

    assert response.status == 408
    assert response.headers["Content-Type"] == "application/json"
    assert body == b'{"detail": "The request did not arrive in time.", "code": "request_timeout"}'


def test_servers_that_are_down_are_503(tmp_path):
    with Proxy(tmp_path, free_port()).running() as proxy:
        response = proxy.request("GET", "/api/events/")

    assert response.status == 503
    assert response.json == {"detail": "No server is available. Try again later.", "code": "unavailable"}
    assert int(response.headers["retry-after"]) > 0


# Paths with the key of a calendar: the short and the long one, misspelled ones, and one that is percent-encoded.
KEYED_PATHS = [
    "/api/calendar/{}.ics",
    "/api/reservation/calendar/{}.ics?query={}",
    "/api/calendar/{}",
    "/api/CALENDAR/{}.ics/",
    "/api/calendar//{}.ics",
    "/api/calend%61r/{}.ics",
]


@pytest.mark.parametrize("path", KEYED_PATHS)
@pytest.mark.parametrize("tls", [True, False])
def test_key_of_a_calendar_is_in_no_log(proxy, service, path, tls):
    assert_key_is_not_logged(proxy, service, path, tls)


def assert_key_is_not_logged(proxy, service, path, tls=True):
    key = uuid4().hex

    proxy.send(f"GET {path.format(key, key)} HTTP/1.1\r\nHost: localhost\r\nReferer: x\r\n\r\n".encode(), tls=tls)
    # The proxy writes its log in the order of the requests.
    response, _ = proxy.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")

    wait_for_line(proxy, response.headers["X-Request-ID"])
    assert key not in proxy.log.read_text()
    assert key not in service.log.read_text()


def wait_for_line(proxy, text):
    """Wait for a line in the proxy's log, which it writes after the response."""
    deadline = time.monotonic() + TIMEOUT
    while text not in proxy.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_key_of_a_calendar_is_not_logged_without_a_server(tmp_path, service):
    with Proxy(tmp_path, free_port()).running() as proxy:
        assert_key_is_not_logged_without_a_server(proxy)


def assert_key_is_not_logged_without_a_server(proxy):
    key = uuid4().hex

    response, _ = proxy.send(f"GET /api/calendar/{key}.ics HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    proxy.send(b"GET /last HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert response.status == 503
    wait_for_line(proxy, "/last")
    assert key not in proxy.log.read_text()
