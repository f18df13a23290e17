"""The cost of parsing a header does not grow with its length.

The cost is the number of function calls, both in Python and in C.
"""

import gc
import sys

import pytest
from django.core.signals import request_started
from django.db import close_old_connections
from django.test import RequestFactory

from eventmanagement.wsgi import application

# In bytes: about the maximum length of one header, and twice that for a repeated header.
LENGTHS = 8_000, 16_000
HEADERS = {
    "Content-Type, semicolons": ("CONTENT_TYPE", lambda length: 'application/json; x="' + ";" * length + '"'),
    "Content-Type, boundary": ("CONTENT_TYPE", lambda length: "multipart/form-data; boundary=" + "x" * length),
    "Content-Type, parameters": ("CONTENT_TYPE", lambda length: "application/json" + "; a=b" * (length // 5)),
    "Cookie, backslashes": ("HTTP_COOKIE", lambda length: 'a="' + "\\" * length + '"'),
    "Cookie, quotes": ("HTTP_COOKIE", lambda length: 'a="' + '\\"' * (length // 2) + '"'),
    "Cookie, octal": ("HTTP_COOKIE", lambda length: 'a="' + "\\101" * (length // 4) + '"'),
    "Authorization, words": ("HTTP_AUTHORIZATION", lambda length: "a " * (length // 2)),
    "Authorization, letters": ("HTTP_AUTHORIZATION", lambda length: "a" * length),
    "If-None-Match, commas": ("HTTP_IF_NONE_MATCH", lambda length: "," * length),
    "If-None-Match, tags": ("HTTP_IF_NONE_MATCH", lambda length: '"a",' * (length // 4)),
}


@pytest.fixture(autouse=True)
def _keep_connection():
    """Keep the database connection open for the test's transaction, as Django's test client does."""
    request_started.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)


def calls_for(path, header, value):
    environ = RequestFactory().get(path).environ | {header: value}
    calls, statuses = [], []

    def count(frame, event, argument):
        if event in ("call", "c_call"):
            calls.append(event)

    # A collection of garbage would count the calls of finalizers.
    gc.disable()
    sys.setprofile(count)
    try:
        b"".join(application(environ, lambda status, headers: statuses.append(status)))
    finally:
        sys.setprofile(None)
        gc.enable()
    assert statuses == ["200 OK"]
    return len(calls)


@pytest.mark.parametrize("path", ["/api/event/events/", "/schema/", "/admin/login/"])
@pytest.mark.parametrize(("header", "write"), HEADERS.values(), ids=HEADERS)
def test_cost_does_not_grow_with_header_length(event, path, header, write):
    for length in (10, *LENGTHS):
        calls_for(path, header, write(length))

    short, *long = (calls_for(path, header, write(length)) for length in (10, *LENGTHS))

    assert all(calls < short + 100 for calls in long)


def test_content_type_that_is_too_long_is_unknown():
    statuses = []
    environ = RequestFactory().post("/api/signup/", b"{}", content_type="application/json").environ
    environ["CONTENT_TYPE"] = "application/json; x=" + "y" * 236

    application(environ, lambda line, headers: statuses.append(line))

    assert environ["CONTENT_TYPE"] == "application/octet-stream"
    assert statuses == ["415 Unsupported Media Type"]


def test_content_type_with_the_longest_boundary_is_read():
    environ = RequestFactory().post("/api/signup/").environ
    content_type = "multipart/form-data; charset=utf-8; boundary=" + "x" * 70
    environ["CONTENT_TYPE"] = content_type

    application(environ, lambda line, headers: None)

    assert environ["CONTENT_TYPE"] == content_type


def test_cookies_without_escapes_are_kept(client, admin_user):
    client.force_login(admin_user)
    session = client.cookies["sessionid"].value
    statuses = []
    environ = RequestFactory().get("/admin/").environ
    environ["HTTP_COOKIE"] = f'other="a\\054b"; sessionid={session}; last="x\\"y"'

    application(environ, lambda line, headers: statuses.append(line))

    assert statuses == ["200 OK"]
