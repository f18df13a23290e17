"""All errors under /api/ are JSON, with 4xx for invalid requests and 5xx for server errors."""

import json
import logging
import sqlite3
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, UnreadablePostError
from django.test import Client, RequestFactory
from django.test.client import encode_multipart
from django.urls import URLResolver

from event.models import EventQuerySet
from eventmanagement.database.errors import Unavailable
from eventmanagement.serving import health
from eventmanagement.wsgi import application
from tests.conftest import LONG, SHORT
from tests.database import replace_list

JSON = "application/json"
NOT_FOUND = {"detail": "Not found.", "code": "not_found"}
TABLE = {
    "signup": {"POST"},
    "login": {"POST"},
    "logout": {"POST"},
    "me": {"GET", "HEAD", "PATCH"},
    "password": {"POST"},
    "delete_account": {"POST"},
    "events": {"GET", "HEAD", "POST"},
    "event": {"GET", "HEAD", "PUT", "PATCH", "DELETE"},
    "attendees": {"GET", "HEAD"},
    "reservations": {"GET", "HEAD", "POST"},
    "reservation": {"GET", "HEAD", "DELETE"},
}


def address(routes, name):
    route = getattr(routes, name)
    return route if isinstance(route, str) else route(1)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("signed_in", [True, False])
def test_allowed_methods(api, as_user, bob, routes, name, method, signed_in):
    response = (as_user(bob) if signed_in else api).generic(method, address(routes, name))

    if method in TABLE[name]:
        assert response.status_code != 405
    else:
        assert response.status_code == 405
        assert response["Content-Type"] == JSON
        assert set(response["Allow"].split(", ")) == TABLE[name]


@pytest.mark.parametrize(
    "path", ["/api/", "/api/nothing", "/api/nothing/", "/api/event/", "/api/event/events/x", "/api//"]
)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("debug", [True, False])
def test_unknown_path_is_json(settings, path, method, debug):
    settings.DEBUG = debug

    response = getattr(Client(enforce_csrf_checks=True), method)(path)

    assert response.status_code == 404
    assert response["Content-Type"] == JSON
    assert response.json() == NOT_FOUND
    assert int(response["Content-Length"]) == len(response.content)


@pytest.mark.parametrize(
    "path", ["/api/signup", "/api/events", "/api/event/events/1", "/api/reservation/reservations?event=1"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
@pytest.mark.parametrize("debug", [True, False])
def test_missing_slash_is_404_with_the_correct_path(settings, path, method, debug):
    settings.DEBUG = debug

    response = getattr(Client(enforce_csrf_checks=True), method)(path)

    assert response.status_code == 404
    correct = f"{path.partition('?')[0]}/"
    assert response.json() == NOT_FOUND | {"detail": f"Not found. The path must end with a slash: {correct}"}


@pytest.mark.parametrize("debug", [True, False])
def test_wrong_host_is_json(api, settings, debug):
    settings.DEBUG = debug

    response = api.get(LONG.events, headers={"host": "evil.example"})

    assert response.status_code == 400
    assert response["Content-Type"] == JSON
    assert response.json() == {"detail": "Bad request.", "code": "bad_request"}


@pytest.mark.parametrize("debug", [True, False])
def test_fault_is_json_and_logged(api, settings, monkeypatch, caplog, debug):
    settings.DEBUG = debug
    monkeypatch.setattr(EventQuerySet, "order_by", lambda *fields: 1 / 0)
    api.raise_request_exception = False

    response = api.get(LONG.events, {"ordering": "capacity"})

    assert response.status_code == 500
    assert response["Content-Type"] == JSON
    assert response.json() == {"detail": "Internal server error. It has been logged.", "code": "error"}
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info[0] is ZeroDivisionError


def test_fault_with_debug_is_json_if_no_page_can_show_it(api, settings, monkeypatch):
    def fail(view):
        # UTF-8 can't encode this character, so a page can't contain it.
        raise ValueError("\ud800")

    settings.DEBUG = True
    replace_list(monkeypatch, fail)
    # pytest-xdist can't send a captured record with this character.
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)
    api.raise_request_exception = False

    response = api.get(LONG.events)

    assert response.status_code == 500
    assert response["Content-Type"] == JSON


class StateError(Exception):
    def __init__(self, sqlstate):
        self.sqlstate = sqlstate


def unavailable(state):
    error = OperationalError("gone")
    error.__cause__ = StateError(state)
    return error


@pytest.mark.parametrize("path", [LONG.events, SHORT.events, "/readyz"])
@pytest.mark.parametrize(
    "error",
    [
        InterfaceError("closed"),
        Unavailable("busy"),
        *map(unavailable, [None, "08006", "53300", "55P03", "57P01", "57014", "40P01", "25006", "25P03"]),
    ],
    ids=lambda error: getattr(error.__cause__, "sqlstate", error),
)
def test_unavailable_database_is_503(client, monkeypatch, path, error):
    def refuse(*args, **kwargs):
        raise error

    replace_list(monkeypatch, refuse)
    monkeypatch.setattr(health, "readiness_connection", lambda: SimpleNamespace(cursor=refuse))

    response = client.get(path)

    assert response.status_code == 503
    assert response["Retry-After"] == "2"
    assert response.json()["code"] == "unavailable"


@pytest.mark.parametrize("state", ["42P01", "23505", "22003"])
def test_programming_error_is_500(client, monkeypatch, state):
    def refuse(queryset):
        raise unavailable(state)

    replace_list(monkeypatch, refuse)
    client.raise_request_exception = False

    assert client.get(LONG.events).status_code == 500


@pytest.mark.parametrize(
    "name", ["signup", "login", "password", "delete_account", "events", "reservations", "places", "event"]
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'[{"event_id": 1}]',
        b'"text"',
        b"5",
        b"true",
        b"NaN",
        b'{"capacity": NaN, "event_id": Infinity}',
        b'{"capacity": 1e400, "event_id": 1e400, "username": 1e400}',
        b'{"capacity": %s, "event_id": %s}' % (b"9" * 5000, b"9" * 5000),
        b'{"username": "\\ud800", "password": "\\ud800", "title": "\\ud800", "event_id": "\\ud800"}',
        b'{"username": "\\u0000", "password": "\\u0000", "title": "\\u0000", "event_id": "\\u0000"}',
        b'{"username": "\xff", "title": "\xff"}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"title":' * 100_000,
        b"\xef\xbb\xbf{}",
    ],
    ids=range(19),
)
def test_hostile_body_is_a_bad_request(as_user, alice, event, routes, name, body):
    path = routes.event(event) if name == "event" else getattr(routes, name)
    method = "put" if name == "event" else "post"

    response = getattr(as_user(alice), method)(path, data=body, content_type=JSON)

    assert response.status_code == 400
    assert response["Content-Type"] == JSON


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "x", ""])
def test_other_bodies_are_not_read(as_user, bob, routes, event, content_type):
    response = as_user(bob).generic("POST", routes.reservations, b'{"event_id": 1}', content_type=content_type)

    assert response.status_code == 415
    assert response["Content-Type"] == JSON


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"event_id=%00", b"--x\r\n\r\n\xff", b"&" * 2000, b"a=1&" * 2000])
@pytest.mark.parametrize("debug", [True, False])
def test_hostile_form_is_a_bad_request(as_user, bob, routes, settings, content_type, body, debug):
    settings.DEBUG = debug

    response = as_user(bob).post(routes.reservations, data=body, content_type=content_type)

    assert response.status_code == 400
    assert response["Content-Type"] == JSON


@pytest.mark.parametrize(
    ("charset", "status"),
    [
        ("charset=utf-8", 400),
        ("charset=UTF8", 400),
        ("charset=latin-1", 415),
        ("charset=utf-16", 415),
        ("charset=zlib", 415),
        ("charset=nonsense", 415),
        ("charset*=zlib''x", 415),
        ("charset*=nonsense''x", 415),
    ],
)
@pytest.mark.parametrize("query", ["", "?search=x"])
def test_charset_other_than_utf8_is_not_read(charset, status, query):
    statuses = []
    # The login view reads the body before any query. The application would close the test's database connection.
    environ = RequestFactory().post(f"{LONG.login}{query}", b"{}", content_type=JSON).environ
    environ["CONTENT_TYPE"] = f"{JSON}; {charset}"

    [body] = application(environ, lambda line, headers: statuses.append(int(line.split()[0])))

    assert statuses == [status]
    assert json.loads(body)


LARGEST = [
    (JSON, 2560 * 1024),
    ("application/x-www-form-urlencoded", 128 * 1024),
    ("*/x-www-form-urlencoded", 128 * 1024),
    ("multipart/form-data; boundary=x", 64 * 1024),
    ("multipart/*; boundary=x", 64 * 1024),
    ("text/plain", 2560 * 1024),
]


@pytest.mark.parametrize("path", [LONG.signup, SHORT.signup, "/admin/login/", "/docs/swagger/", "/nowhere"])
@pytest.mark.parametrize(("content_type", "largest"), LARGEST)
def test_body_over_the_limit_is_413(client, path, content_type, largest):
    response = client.post(path, data=b" " * (largest + 1), content_type=content_type)

    assert response.status_code == 413
    assert response["Content-Type"] == JSON
    assert response.json() == {"detail": "The request body is too large.", "code": "too_large"}


@pytest.mark.parametrize("path", [LONG.signup, "/admin/login/"])
@pytest.mark.parametrize(("content_type", "largest"), LARGEST)
def test_body_of_the_largest_size_is_read(client, path, content_type, largest):
    response = client.post(path, data=b" " * largest, content_type=content_type)

    assert response.status_code in (200, 400, 415)


@pytest.mark.parametrize(
    "body", [b"[" + b"[]," * 50_000 + b"[]]", b"{" + b'"a":1,' * 50_000 + b'"a":1}', b"[1" + b",1" * 50_001]
)
def test_body_of_too_many_values_is_not_parsed(api, monkeypatch, body):
    monkeypatch.setattr("rest_framework.parsers.json.load", lambda *args, **options: pytest.fail("It was parsed."))

    response = api.post(LONG.login, data=body, content_type=JSON)

    assert response.status_code == 400
    assert response.json() == {"detail": "JSON parse error - too many values", "code": "parse_error"}


@pytest.mark.parametrize("mark", "[{,:")
def test_structural_characters_in_strings_are_accepted(as_user, alice, routes, mark):
    event = {"title": mark * 200, "description": mark * 10_000, "capacity": 1}
    event |= {"start_time": "2040-05-01T19:00:00Z", "end_time": "2040-05-01T21:00:00Z"}

    response = as_user(alice).post(routes.events, event)

    assert response.json()["description"] == mark * 10_000


def test_largest_event_fits_in_every_body(as_user, alice, routes):
    event = {"title": "\U0001f3b7" * 200, "description": "\U0001f3b7" * 10_000, "capacity": 1}
    event |= {"start_time": "2040-05-01T19:00:00Z", "end_time": "2040-05-01T21:00:00Z"}
    client = as_user(alice)
    bodies = [
        (json.dumps(event), JSON),
        (urlencode(event), "application/x-www-form-urlencoded"),
        (encode_multipart("x", event), "multipart/form-data; boundary=x"),
    ]

    assert {client.post(routes.events, body, content_type=form).status_code for body, form in bodies} == {201}


@pytest.mark.parametrize("debug", [True, False])
def test_too_many_uploaded_files_are_a_bad_request(as_user, bob, routes, settings, debug):
    settings.DEBUG = debug
    files = {f"file{number}": SimpleUploadedFile("a", b"") for number in range(101)}

    response = as_user(bob).post(routes.reservations, files, format="multipart")

    assert response.status_code == 400
    assert response["Content-Type"] == JSON


@pytest.mark.parametrize("path", [LONG.events, SHORT.events, "/api/nothing", "/admin/login/", "/docs/swagger/", "/"])
@pytest.mark.parametrize("debug", [True, False])
def test_too_many_query_parameters_are_400(client, settings, path, debug):
    settings.DEBUG = debug

    response = client.get(f"{path}?{'a&' * 1000}a")

    assert response.status_code == 400
    assert response["Content-Type"] == JSON
    assert response.json() == {"detail": "The URL has too many query parameters.", "code": "bad_request"}


def test_maximum_number_of_query_parameters_is_accepted(client):
    assert client.get(f"{LONG.events}?{'a&' * 999}a").status_code == 200


def suspicious_operations():
    """Return Django's exceptions for suspicious requests, including those that only some of its apps raise."""
    found = [BadRequest, SuspiciousOperation]
    for kind in found:
        found += [each for each in kind.__subclasses__() if each.__module__.startswith("django.")]
    return found


@pytest.mark.parametrize("kind", suspicious_operations())
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_suspicious_operation_is_json(client, settings, monkeypatch, kind, debug, accept):
    def refuse(view):
        raise kind("suspicious")

    replace_list(monkeypatch, refuse)
    settings.DEBUG = debug

    response = client.get(LONG.events, headers={"accept": accept})

    assert response.status_code == 400
    assert response["Content-Type"] == JSON
    assert set(response.json()) <= {"detail", "code"}


@pytest.mark.parametrize("path", ["/api/events/", "/admin/r/", "/static/", "/"])
@pytest.mark.parametrize("segment", ["a", "a/", "\0", "\xff"])
def test_path_over_limit_is_404(client, path, segment):
    response = client.get(path + segment * 1024)

    assert response.status_code == 404
    assert response.json() == NOT_FOUND


def test_path_over_the_limit_is_not_matched(client, monkeypatch):
    monkeypatch.setattr(URLResolver, "resolve", lambda *args: pytest.fail("A long path was matched."))

    client.get("/admin/r/" + "a/" * 1024)


def test_path_of_the_longest_size_is_matched(client):
    assert client.get("/" + "a" * 1023).status_code == 404


@pytest.mark.parametrize("value", ["Basic \0", "Basic AAAA", "Token " + "x" * 20_000, "\0", "Token \xff"])
def test_hostile_authorization_is_401(routes, value):
    response = Client(headers={"authorization": value}).get(routes.reservations)

    assert response.status_code == 401
    assert response["Content-Type"] == JSON


@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.1", "text/html", "nonsense", ""])
def test_response_is_json_for_any_accept_header(api, routes, event, accept):
    response = api.get(routes.events, headers={"accept": accept})

    assert response.status_code == 200
    assert response["Content-Type"] == JSON


@pytest.mark.parametrize("path", [LONG.signup, SHORT.signup, "/admin/login/"])
def test_chunked_body_is_411(path):
    response = Client().post(path, b"{}", content_type=JSON, HTTP_TRANSFER_ENCODING="chunked")

    assert response.status_code == 411
    assert response.json() == {
        "detail": "A request body needs a Content-Length header.",
        "code": "length_required",
    }


def test_incomplete_body_is_400(api, routes, monkeypatch):
    def break_off(request, *args):
        raise UnreadablePostError("gone")

    monkeypatch.setattr(HttpRequest, "read", break_off)

    response = api.post(routes.signup, {})

    assert response.status_code == 400
    assert response.json() == {"detail": "The request body could not be read.", "code": "parse_error"}


@pytest.mark.parametrize(
    ("code", "status"),
    [(sqlite3.SQLITE_BUSY, 503), (sqlite3.SQLITE_BUSY_SNAPSHOT, 503), (sqlite3.SQLITE_FULL, 503), (1, 500)],
)
def test_sqlite_that_is_busy_is_503(client, monkeypatch, code, status):
    def refuse(queryset):
        cause = sqlite3.OperationalError("refused")
        cause.sqlite_errorcode = code
        raise OperationalError("refused") from cause

    replace_list(monkeypatch, refuse)
    client.raise_request_exception = False

    assert client.get(LONG.events).status_code == status


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such limit")
def test_statement_that_takes_too_long_is_unavailable(client, monkeypatch):
    def take_too_long(queryset):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 1")
            cursor.execute("SELECT pg_sleep(10)")

    replace_list(monkeypatch, take_too_long)

    assert client.get(LONG.events).json()["code"] == "unavailable"


def test_errors_of_rest_framework_have_its_codes(api, as_user, bob, event, routes):
    stranger = as_user(bob)
    bad_token = Client(headers={"authorization": "Token x"})
    responses = [
        stranger.post(routes.reservations, b"{", content_type=JSON),
        Client().get(routes.reservations),
        bad_token.get(routes.reservations),
        stranger.delete(routes.event(event)),
        stranger.get(routes.event(0)),
        stranger.get(routes.events, {"page": 9}),
        stranger.put(routes.events),
        stranger.generic("POST", routes.reservations, b"x", content_type="text/plain"),
    ]

    assert [response.json()["code"] for response in responses] == [
        "parse_error",
        "not_authenticated",
        "authentication_failed",
        "permission_denied",
        "not_found",
        "not_found",
        "method_not_allowed",
        "unsupported_media_type",
    ]


def test_field_errors_have_no_code(as_user, bob, routes):
    assert as_user(bob).post(routes.reservations, {}).json() == {"event_id": ["This field is required."]}


def test_number_with_too_many_digits_is_told_without_advice_for_programmers(api):
    response = api.post(LONG.login, b'{"username": %s}' % (b"9" * 5000), content_type="application/json")

    assert response.json() == {"detail": "JSON parse error - a number has too many digits", "code": "parse_error"}
