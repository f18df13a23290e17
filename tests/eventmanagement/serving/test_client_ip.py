"""The client IP: which requests count as the same client."""

import threading
from http.client import HTTPConnection

import pytest
from django.db import connection
from django.test import RequestFactory

from eventmanagement.serving import client_ip as clients
from eventmanagement.serving.client_ip import client_ip
from tests.service import TIMEOUT, running_service


@pytest.fixture(autouse=True)
def _not_warned_yet(monkeypatch):
    monkeypatch.setattr(clients, "_warning_lock", threading.Lock())


@pytest.fixture
def behind(settings):
    """Return a function that sets the number of trusted proxies."""

    def trust(proxies):
        settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": proxies}

    return trust


def ip(remote="127.0.0.1", forwarded=None):
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    return client_ip(RequestFactory().get("/", REMOTE_ADDR=remote, **headers))


@pytest.mark.parametrize(
    "spelling",
    [
        "203.0.113.9",
        " 203.0.113.9 ",
        "\t203.0.113.9\t",
        '"203.0.113.9"',
        '"203.0.113.9:50001"',
        "203.0.113.9:50001",
        "[203.0.113.9]:50001",
        "::ffff:203.0.113.9",
        "::FFFF:CB00:7109",
        "0:0:0:0:0:ffff:203.0.113.9",
        "0000:0000:0000:0000:0000:FFFF:203.0.113.9",
        "::ffff:203.0.113.9%eth0",
        "[::ffff:203.0.113.9]:50001",
    ],
)
def test_ipv4_is_normalized(spelling):
    assert ip(spelling) == "203.0.113.9"


@pytest.mark.parametrize(
    "spelling",
    [
        "2001:db8::1",
        "2001:DB8:0:0::1",
        "2001:0db8:0000:0000:0000:0000:0000:0001",
        "[2001:db8::1]",
        "[2001:db8::1]:443",
        '"[2001:db8::1]:443"',
        '"2001:db8::1"',
        "2001:db8::1%eth0",
        "2001:db8::%eth0",
        "[2001:db8::1%eth0]:443",
        "2001:db8::ffff:ffff:ffff:ffff",
    ],
)
def test_addresses_of_one_ipv6_network_are_one_client(spelling):
    assert ip(spelling) == "2001:db8::/64"


def test_link_local_addresses_are_one_client():
    assert ip("fe80::1%eth0") == ip("[FE80::2%25eth1]:443") == "fe80::/64"


def test_next_ipv6_network_is_another_client():
    assert ip("2001:db8:0:1::1") != ip("2001:db8::1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "client",
        "203.0.113",
        "203.0.113.09",
        "256.0.0.1",
        "203.0.113.9 203.0.113.10",
        "[",
        "[]",
        "[]:443",
        ":",
        "%",
        "::1::",
        "2001:db8::/64",
        "203.0.113.9\0",
        "'203.0.113.9'",
        "unknown",
        "_hidden",
        '"',
        '""',
        "for=203.0.113.9",
        "\u0661.1.1.1",
        "\udce4",
        "1" * 100_000,
        " " * 100_000 + "203.0.113.9",
    ],
)
def test_addresses_that_cannot_be_parsed_are_one_client(text, behind):
    behind(1)

    assert ip(text) == "unknown"
    assert ip(forwarded=f"203.0.113.9, {text}") == "unknown"


def test_missing_address_is_unknown():
    request = RequestFactory().get("/")
    del request.META["REMOTE_ADDR"]

    assert client_ip(request) == "unknown"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "192.0.2.1", "127.0.0.1"),
        (1, None, "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "192.0.2.1,192.0.2.2", "192.0.2.2"),
        (1, '"192.0.2.1", "192.0.2.2:443"', "192.0.2.2"),
        (1, "192.0.2.1,::ffff:192.0.2.2", "192.0.2.2"),
        (1, "192.0.2.1,fe80::1%eth0", "fe80::/64"),
        (1, "nonsense, [2001:db8::1]:443", "2001:db8::/64"),
        (2, "192.0.2.1,192.0.2.2", "192.0.2.1"),
        (2, "192.0.2.9, 192.0.2.1 , 192.0.2.2", "192.0.2.1"),
        (2, "192.0.2.2", "192.0.2.2"),
        (3, "192.0.2.1,192.0.2.2", "192.0.2.1"),
        (1, "192.0.2.1,", "unknown"),
        (1, "," * 8000, "unknown"),
        (1, "," * 8000 + "192.0.2.1", "192.0.2.1"),
        (10**9, "," * 8000 + "192.0.2.1", "unknown"),
    ],
)
def test_trusted_proxies_select_client_ip(behind, proxies, forwarded, expected):
    behind(proxies)

    assert ip(forwarded=forwarded) == expected


def warnings(caplog):
    return [record for record in caplog.records if record.name == "eventmanagement.serving.client_ip"]


def test_ignored_header_is_warned_once(caplog):
    ip(forwarded="192.0.2.1")
    ip(forwarded="192.0.2.2")

    [warning] = warnings(caplog)
    assert warning.levelname == "WARNING"
    assert "set TRUSTED_PROXIES" in warning.message


@pytest.mark.parametrize(("proxies", "forwarded"), [(0, None), (1, None), (1, "192.0.2.1")])
def test_header_that_is_not_ignored_is_not_warned_of(behind, caplog, proxies, forwarded):
    behind(proxies)

    ip(forwarded=forwarded)

    assert warnings(caplog) == []


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    log = tmp_path_factory.mktemp("counted") / "log"
    with running_service(log, TRUSTED_PROXIES="1", THROTTLE_SIGNUP="1/day") as (service, _):
        yield service


def attempts(service, *headers):
    """Attempt to sign up once with each list of headers. Returns the statuses."""
    statuses = []
    for lines in headers:
        client = HTTPConnection("127.0.0.1", service.port, timeout=TIMEOUT)
        client.putrequest("POST", "/api/signup/")
        for name, value in [*lines, ("Content-Length", "0")]:
            client.putheader(name, value)
        client.endheaders()
        statuses.append(client.getresponse().status)
        client.close()
    return statuses


@pytest.mark.skipif(connection.vendor != "postgresql", reason="tests the headers, so one run is enough")
@pytest.mark.parametrize(
    ("first", "second", "are_one_client"),
    [
        # The last header of the same name comes from the proxy.
        (["198.51.100.1", "203.0.113.1"], ["198.51.100.2", "203.0.113.1"], True),
        (["203.0.113.2", "203.0.113.3"], ["203.0.113.2", "203.0.113.4"], False),
        (["203.0.113.5"], ["::ffff:203.0.113.5"], True),
        (["203.0.113.6:50001"], ['"203.0.113.6"'], True),
        (["2001:db8:0:1::1"], ["[2001:DB8:0:1::2]:443"], True),
        (["2001:db8:0:2::1"], ["2001:db8:0:3::1"], False),
        (["garbage"], ["", "203.0.113"], True),
    ],
)
def test_spellings_share_a_limit(service, first, second, are_one_client):
    headers = [[("X-Forwarded-For", value) for value in values] for values in (first, second)]

    assert attempts(service, *headers) == [400, 429 if are_one_client else 400]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="tests the headers, so one run is enough")
@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("X_Forwarded_For", "203.0.113.11"),
        ("X-Forwarded_For", "203.0.113.12"),
        ("Forwarded", "203.0.113.13"),
        ("X-Real-IP", "203.0.113.14"),
    ],
)
def test_other_headers_are_ignored(service, name, address):
    headers = [[("X-Forwarded-For", address), (name, f"198.51.100.{number}")] for number in (1, 2)]

    assert attempts(service, *headers) == [400, 429]
