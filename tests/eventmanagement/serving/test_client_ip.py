"""The client IP: which requests count as the same client."""

import threading

import pytest
from django.test import RequestFactory

from eventmanagement.serving import client_ip as clients
from eventmanagement.serving.client_ip import client_ip


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
        "203.0.113.9:50001",
        "::ffff:203.0.113.9",
        "::FFFF:CB00:7109",
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
        "2001:db8::1%eth0",
        "2001:db8::%eth0",
        "[2001:db8::1%eth0]:443",
        "2001:db8::ffff:ffff:ffff:ffff",
    ],
)
def test_addresses_of_one_ipv6_network_are_one_client(spelling):
    assert ip(spelling) == "2001:db8::/64"


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
        (1, "nonsense, [2001:db8::1]:443", "2001:db8::/64"),
        (2, "192.0.2.1,192.0.2.2", "192.0.2.1"),
        (2, "192.0.2.9, 192.0.2.1 , 192.0.2.2", "192.0.2.1"),
        (2, "192.0.2.2", "192.0.2.2"),
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
