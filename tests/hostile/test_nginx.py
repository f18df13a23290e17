"""deploy/nginx.conf in front of the service: its limits, its headers and its errors."""

import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import pytest
from django.conf import settings
from django.db import connection

from tests.hostile.test_proxy import (
    KEYED_PATHS,
    Proxy,
    assert_key_is_not_logged,
    assert_key_is_not_logged_without_a_server,
    free_port,
    wait_for_line,
)
from tests.service import TIMEOUT, running_service

# Debian installs it in /usr/sbin, which is not on every user's PATH.
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="tests the proxy, so one run is enough"),
    pytest.mark.skipif(not NGINX or not shutil.which("openssl"), reason="needs nginx and openssl"),
]

# The burst of requests per client IP in the configuration.
BURST = 900
TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]


class Nginx(Proxy):
    """nginx with a self-signed certificate and two servers. The second server does not run, unless it is passed."""

    def __init__(self, directory, server, second=None):
        super().__init__(directory, server)
        values = self.environment | ({"SERVER2": f"127.0.0.1:{second}"} if second else {})
        temporary = "".join(f"{name}_temp_path {directory / name};\n" for name in TEMPORARY)
        replaced = {
            # The processes must be able to read the directory of the test.
            "user www-data;": "user root;" if os.geteuid() == 0 else "",
            "/run/nginx.pid": f"{directory / 'pid'}",
            "/var/log/nginx/error.log": "stderr",
            "/var/log/nginx/access.log": "/dev/stdout",
            "http {": f"http {{\n{temporary}",
            "listen 80 ": f"listen {values['HTTP']} ",
            "listen 443 ": f"listen {values['HTTPS']} ",
            "listen [::]:80 default_server;": "",
            "listen [::]:443 ssl http2 default_server;": "",
            "server 127.0.0.1:8001 ": f"server {values['SERVER1']} ",
            "server 127.0.0.1:8002 ": f"server {values['SERVER2']} ",
            "/etc/nginx/certificate.pem": values["CERTIFICATE"],
            "/etc/nginx/key.pem": values["CERTIFICATE"],
        }
        config = (settings.BASE_DIR / "deploy" / "nginx.conf").read_text()
        for text, replacement in replaced.items():
            assert text in config
            config = config.replace(text, replacement)
        path = directory / "nginx.conf"
        path.write_text(config)
        self.command = [NGINX, "-e", "stderr", "-c", path, "-g", "daemon off;"]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    log = tmp_path_factory.mktemp("proxied") / "log"
    limits = {"THROTTLE_LOGIN": "1000/min", "THROTTLE_LOGIN_ADDRESS": "3/hour"}
    with running_service(log, TRUSTED_PROXIES="1", **limits) as (service, _):
        yield service


@pytest.fixture(scope="module")
def proxy(service, tmp_path_factory):
    with Nginx(tmp_path_factory.mktemp("nginx"), service.port).running() as proxy:
        yield proxy


def request_bytes(method, path, *headers, body=b"", host="localhost"):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_plain_http_is_redirected(proxy):
    response, _ = proxy.send(request_bytes("GET", "/docs/swagger/?a=b"), tls=False)

    assert response.status == 308
    assert response.headers["Location"] == "https://localhost/docs/swagger/?a=b"


def test_service_detects_https_and_host(proxy):
    response, body = proxy.send(request_bytes("GET", "/api/events/?page_size=1", host=f"localhost:{proxy.https}"))

    assert response.status == 200
    # Django only sends this header over HTTPS.
    assert response.headers["Strict-Transport-Security"]
    assert json.loads(body)["next"] is None


@pytest.mark.parametrize("header", ["X-Forwarded-For", "x-forwarded-FOR", "X_Forwarded_For", "X-Forwarded_For"])
def test_forged_forwarded_header_is_replaced(proxy, header):
    def guess(address, number):
        body = b'{"username": "user%d", "password": "wrong"}' % number
        raw = request_bytes("POST", "/api/login/", f"{header}: 203.0.113.{number}", body=body)
        return proxy.send(raw, address)[0].status

    one, another = next(proxy.strangers), next(proxy.strangers)

    assert [guess(one, number) for number in range(4)] == [400, 400, 400, 429]
    assert guess(another, 0) == 400


@pytest.mark.parametrize("header", ["X-Request-ID", "X_Request_Id"])
def test_proxy_sets_request_id(proxy, header):
    response, _ = proxy.send(request_bytes("GET", "/healthz", f"{header}: chosen"))

    [identity] = response.headers.get_all("X-Request-ID")
    assert identity != "chosen"
    deadline = time.monotonic() + TIMEOUT
    while identity not in (log := proxy.log.read_text()):
        # nginx writes the log line after the response.
        assert time.monotonic() < deadline
        time.sleep(0.05)
    [line] = [line for line in log.splitlines() if identity in line]
    assert json.loads(line)["path"] == "/healthz"


@pytest.mark.parametrize("path", KEYED_PATHS)
@pytest.mark.parametrize("tls", [True, False])
def test_key_of_a_calendar_is_in_no_log(proxy, service, path, tls):
    assert_key_is_not_logged(proxy, service, path, tls)


def test_key_of_a_calendar_is_not_logged_without_a_server(tmp_path):
    with Nginx(tmp_path, free_port()).running() as proxy:
        assert_key_is_not_logged_without_a_server(proxy)


def test_key_of_a_calendar_is_not_logged_above_the_limit(tmp_path):
    key = "k" * 43
    with Nginx(tmp_path, free_port()).running() as proxy, proxy.connect(next(proxy.strangers)) as client:
        client.sendall(
            request_bytes("GET", f"/api/calendar/{key}.ics") * (BURST + 90)
            + request_bytes("GET", "/last", "Connection: close")
        )
        with client.makefile("rb") as stream:
            received = stream.read()

        wait_for_line(proxy, "/last")
        assert b"HTTP/1.1 429 " in received
        assert key not in proxy.log.read_text()


@pytest.mark.parametrize(("size", "is_from_service"), [(2_700_000, True), (3_200_000, False)])
def test_body_over_the_limit_is_413(proxy, size, is_from_service):
    response = proxy.request("POST", "/api/signup/", {"username": "x" * size})

    assert response.status == 413
    assert response.headers["Content-Type"] == "application/json"
    assert response.json == {"detail": "The request body is too large.", "code": "too_large"}
    assert ("X-Request-ID" in response.headers) is is_from_service


def test_chunked_body_is_read(proxy):
    body = b'{"username": "chunked", "password": "wrong"}'
    headers = ["Content-Type: application/json", "Transfer-Encoding: chunked"]
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

    response, _ = proxy.send(request_bytes("POST", "/api/login/", *headers) + chunks)

    assert response.status == 400


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (request_bytes("GET", "/", "X: \0"), 400, "bad_request"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n", 400, "bad_request"),
        (request_bytes("GET", f"/{'x' * 9000}"), 414, "url_too_long"),
    ],
)
def test_errors_of_the_proxy_are_json(proxy, raw, status, code):
    response, body = proxy.send(raw)

    assert response.status == status
    assert json.loads(body)["detail"]
    assert json.loads(body)["code"] == code


@pytest.mark.parametrize("status", [400, 413, 414, 429, 503])
def test_error_pages_have_no_public_path(proxy, status):
    assert proxy.send(request_bytes("GET", f"/proxy-error/{status}"))[0].status == 404


def test_requests_of_one_client_ip_are_limited(tmp_path):
    # Without a server, nginx responds at once. It closes a connection after 1,000 requests.
    with Nginx(tmp_path, free_port()).running() as proxy:
        stranger = next(proxy.strangers)
        statuses = []
        # Far more requests than the rate allows in the meantime.
        while len(statuses) < 10 * BURST and 429 not in statuses:
            with proxy.connect(stranger) as client, client.makefile("rb") as stream:
                client.sendall(request_bytes("GET", "/") * 500 + request_bytes("GET", "/", "Connection: close"))
                received = stream.read()
            statuses += [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]
        response = proxy.request("GET", "/")

    assert len(statuses) > BURST
    assert set(statuses) == {503, 429}
    assert b'"code": "throttled"}' in received
    assert b"\r\nRetry-After: 10\r\n" in received
    assert response.status == 503


def test_servers_that_are_down_are_503(tmp_path):
    with Nginx(tmp_path, free_port()).running() as proxy:
        response = proxy.request("POST", "/api/events/", {})

    assert response.status == 503
    assert response.json == {"detail": "No server is available. Try again later.", "code": "unavailable"}
    assert int(response.headers["Retry-After"]) > 0


class Echo(BaseHTTPRequestHandler):
    """A server that returns the headers of the request, and closes the connection instead if the path is /close."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.requests.put((self.path, self.client_address))
        if self.path == "/close":
            self.close_connection = True
            return
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *args):
        pass


@contextmanager
def echoing(directory):
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server, ThreadPoolExecutor(1) as thread:
        server.daemon_threads = True
        server.requests = Queue()
        thread.submit(server.serve_forever)
        try:
            with Nginx(directory, server.server_port, server.server_port).running() as proxy:
                yield proxy, server.requests
        finally:
            server.shutdown()


def test_proxy_headers_are_replaced(tmp_path):
    names = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix"]
    names += ["x_forwarded_for", "X-forwarded_Proto", "Forwarded", "X-Request-ID", "x_request_id"]
    claimed = [f"{name}: claimed" for name in names]
    with echoing(tmp_path) as (proxy, _):
        stranger = next(proxy.strangers)
        _, body = proxy.send(request_bytes("GET", "/", *claimed, host="example.org:8443"), stranger)

    headers = {name.lower(): value for name, value in json.loads(body)}
    assert len(headers.pop("x-request-id")) == 32
    assert headers == {
        "host": "example.org:8443",
        "x-forwarded-for": stranger,
        "x-forwarded-host": "example.org:8443",
        "x-forwarded-proto": "https",
    }


def test_connection_to_the_server_is_kept(tmp_path):
    with echoing(tmp_path) as (proxy, requests), proxy.connect(next(proxy.strangers)) as client:
        for _ in range(8):
            client.sendall(request_bytes("GET", "/"))
            response = HTTPResponse(client)
            response.begin()
            response.read()

    assert len({requests.get()[1] for _ in range(8)}) == 1


def test_booking_is_not_sent_twice(tmp_path):
    """After the server has received a POST request, nobody knows whether it has handled it."""
    with echoing(tmp_path) as (proxy, requests):
        for path in ("/", "/close"):
            response, _ = proxy.send(request_bytes("POST", path, body=b"{}"))

    assert response.status == 503
    assert [requests.get()[0] for _ in range(requests.qsize())] == ["/", "/close"]
