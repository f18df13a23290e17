import json
import logging
import re
from io import StringIO
from logging.config import DictConfigurator

import pytest
from django.db import InterfaceError, transaction
from django.http import HttpResponse

from eventmanagement.serving.logs import PlainFormatter, RequestLogMiddleware, path_for_log
from eventmanagement.serving.middleware import JsonErrorMiddleware
from reservation.models import Reservation
from tests.database import replace_list


@pytest.fixture
def handler():
    """The handler of standard output, which writes to ``stream`` during the test."""
    [handler] = [handler for handler in logging.root.handlers if handler.name == "stdout"]
    standard, formatter = handler.setStream(StringIO()), handler.formatter
    yield handler
    handler.setStream(standard)
    handler.setFormatter(formatter)


@pytest.fixture
def lines(handler):
    """Return the lines that production logs to standard output, parsed as JSON."""
    return lambda: [json.loads(line) for line in handler.stream.getvalue().splitlines()]


@pytest.fixture
def plain_lines(handler, settings):
    """Return the lines that are logged to standard output with DEBUG."""
    plain = {**settings.LOGGING["formatters"]["plain"]}
    handler.setFormatter(DictConfigurator({}).configure_formatter(plain))
    return lambda: handler.stream.getvalue().split("\n")[:-1]


def requests_of(lines):
    return [line for line in lines if line["logger"] == "eventmanagement.serving.logs"]


def movements_of(lines):
    return [
        (line["movement"], line["event"], line["user"], line["seats_left"])
        for line in lines
        if line["logger"] == "event.seats"
    ]


def test_request_is_one_line(as_user, bob, event, lines):
    as_user(bob).get(f"/api/event/events/{event.pk}/?search=secret", headers={"x-request-id": "abc-1"})

    [line] = lines()
    assert line.pop("milliseconds") >= 0
    assert line.pop("time")
    assert line.pop("message").startswith(f"GET /api/event/events/{event.pk}/ 200 in ")
    assert line == {
        "level": "INFO",
        "logger": "eventmanagement.serving.logs",
        "request_id": "abc-1",
        "method": "GET",
        "route": "api/event/events/<int:pk>/",
        "status": 200,
        "user": bob.pk,
    }


@pytest.mark.parametrize("path", ["/healthz", "/api/nothing", "/docs/swagger/", "/admin/login/", "/static/nothing"])
def test_every_answer_carries_an_id_of_its_own(client, lines, path):
    first, second = client.get(path), client.get(path)

    assert len(first["X-Request-ID"]) == 32
    assert [line["request_id"] for line in requests_of(lines())] == [first["X-Request-ID"], second["X-Request-ID"]]
    assert first["X-Request-ID"] != second["X-Request-ID"]


@pytest.mark.parametrize("given", ["", "x" * 65, "two words", 'quote"', "line\nfeed", "ünïcode"])
def test_invalid_request_id_is_replaced(client, given):
    response = client.get("/healthz", HTTP_X_REQUEST_ID=given)

    assert response["X-Request-ID"] != given
    assert len(response["X-Request-ID"]) == 32


def test_valid_request_id_is_kept(client):
    assert client.get("/healthz", headers={"x-request-id": "x" * 64})["X-Request-ID"] == "x" * 64


def test_tokens_and_passwords_are_not_logged(api, bob, as_user, lines, monkeypatch):
    api.raise_request_exception = False
    api.post("/api/signup/", {"username": "dave", "password": "correct horse battery"})
    token = api.post("/api/login/", {"username": "dave", "password": "correct horse battery"}).json()["token"]
    replace_list(monkeypatch, lambda view: 1 / 0)

    api.get("/api/events/", headers={"authorization": f"Token {token}"})

    log = json.dumps(lines())
    assert "ZeroDivisionError" in log
    assert "horse" not in log
    assert token not in log


@pytest.mark.django_db(transaction=True)
def test_seat_that_moves_is_one_line(as_user, bob, alice, event, lines):
    client = as_user(bob)
    reservation = client.post("/api/reservations/", {"event_id": event.pk}, headers={"x-request-id": "abc-1"})
    client.delete(f"/api/reservations/{reservation.json()['id']}/")
    as_user(alice).patch(f"/api/events/{event.pk}/", {"capacity": 4})
    as_user(alice).delete(f"/api/events/{event.pk}/")

    log = lines()
    assert movements_of(log) == [
        ("taken", event.pk, bob.pk, 9),
        ("returned", event.pk, bob.pk, 10),
        ("resized", event.pk, None, 4),
        ("deleted", event.pk, None, 0),
    ]
    assert {line["reservation"] for line in log if line.get("user") == bob.pk and "movement" in line} == {
        reservation.json()["id"]
    }
    assert log[0]["request_id"] == "abc-1"


@pytest.mark.django_db(transaction=True)
def test_deletion_in_a_shell_is_logged_seat_by_seat(people, event, lines):
    crowd = people(3)
    for person in crowd:
        Reservation.objects.book(user=person, event_id=event.pk)

    Reservation.objects.all().delete()

    assert movements_of(lines())[3:] == [
        ("returned", event.pk, person.pk, seats) for person, seats in zip(crowd, (8, 9, 10), strict=True)
    ]


@pytest.mark.django_db(transaction=True)
def test_seat_that_does_not_move_is_not_logged(as_user, bob, event, lines):
    with transaction.atomic():
        Reservation.objects.book(user=bob, event_id=event.pk)
        transaction.set_rollback(True)

    assert movements_of(lines()) == []


def test_unavailable_database_is_one_warning_and_the_request(client, lines, monkeypatch):
    replace_list(monkeypatch, _refuse)

    client.get("/api/events/")

    assert [(line["level"], line.get("status")) for line in lines()] == [("WARNING", None), ("INFO", 503)]


def _refuse(view):
    raise InterfaceError("closed")


@pytest.mark.parametrize("method", ["get", "head"])
def test_wrong_host_is_one_line(client, lines, method):
    getattr(client, method)("/api/events/", headers={"host": "evil.example"})

    assert [(line["level"], line["status"]) for line in lines()] == [("INFO", 400)]


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/api/a%0aGET /admin/ 200", "/api/a%0AGET%20/admin/%20200"),
        ("/%1b[31m%e2%80%a8%c2%85%00", "/%1B%5B31m%E2%80%A8%C2%85%00"),
        ("/%ff", "/%25FF"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/" + "a" * 199, "/" + "a" * 199),
        ("/" + "a" * 200, "/" + "a" * 199 + "..."),
        ("/" + "a" * 8000, "/" + "a" * 199 + "..."),
        ("/" + "%f0%9f%8e%b7" * 100, "/" + ("%F0%9F%8E%B7" * 17)[:199] + "..."),
    ],
)
@pytest.mark.parametrize("unavailable", [True, False])
def test_path_can_neither_forge_nor_flood_the_log(rf, caplog, path, logged, unavailable):
    request = rf.get(path)
    if unavailable:
        JsonErrorMiddleware(None).process_exception(request, InterfaceError("closed"))
    else:
        RequestLogMiddleware(lambda request: HttpResponse())(request)

    [record] = caplog.records
    assert record.getMessage().startswith(f"GET {logged}{': unavailable' if unavailable else ' 200 in '}")


KEY = "Abc_-" * 9


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (f"/api/calendar/{KEY}.ics", "/api/calendar/(key)"),
        (f"/api/reservation/CALENDAR//{KEY}/more", "/api/reservation/CALENDAR/(key)"),
        (f"/api/calend%61r/%20%0a{KEY}", "/api/calendar/(key)"),
        (f"/{'x' * 187}/calendar/{KEY}", f"/{'x' * 187}/calendar/(k..."),
        ("/api/calendar/", "/api/calendar/"),
        ("/api/events/7/calendar.ics", "/api/events/7/calendar.ics"),
    ],
)
def test_path_for_the_log_has_no_key(rf, path, logged):
    assert path_for_log(rf.get(path)) == logged


def test_line_of_any_logger_has_no_key(lines):
    logging.getLogger("any").warning("%s failed: %s", f"/api/calendar/{KEY}.ics", "no reason", extra={"request": KEY})

    [line] = lines()
    assert line["message"] == "/api/calendar/(key) failed: no reason"
    assert KEY not in json.dumps(line)


def test_report_of_an_error_has_no_key(client, monkeypatch):
    """A handler that sends reports to another service may be attached to Django's logger."""

    class Reports(logging.Handler):
        def emit(self, record):
            reported.append((record.getMessage(), hasattr(record, "request")))

    reported = []
    logger, reports = logging.getLogger("django.request"), Reports()
    client.raise_request_exception = False
    monkeypatch.setattr("reservation.views.holder_of", lambda key: 1 / 0)
    logger.addHandler(reports)
    try:
        client.get(f"/api/calendar/{KEY}.ics")
    finally:
        logger.removeHandler(reports)

    assert reported == [("Internal Server Error: /api/calendar/(key)", False)]


FORGED = "2040-01-01 00:00:00,000 INFO forged"
HOSTILE_TEXTS = ["\n", "\r", "\x1b[2J", "\x85", "\u2028", "\u202e", "\0"]


@pytest.mark.parametrize("separator", HOSTILE_TEXTS)
def test_plain_message_is_one_printable_line(plain_lines, separator):
    logging.getLogger("any").error("path: %s", f"/a{separator}{FORGED}")

    [line] = plain_lines()
    assert line.isprintable()
    assert line.endswith(f"/a{separator.encode('unicode_escape').decode()}{FORGED}")


def test_plain_message_can_have_a_lone_surrogate():
    # Not logged: pytest-xdist can't send a captured record with this character.
    record = logging.makeLogRecord({"msg": "path: /a\ud800", "levelname": "ERROR"})

    assert PlainFormatter("{levelname} {message}", style="{").format(record) == "ERROR path: /a\\ud800"


@pytest.mark.parametrize("separator", HOSTILE_TEXTS)
def test_error_text_can_not_forge_a_plain_line(client, plain_lines, monkeypatch, separator):
    def refuse(view):
        raise ValueError(f"bad{separator}{FORGED}")

    replace_list(monkeypatch, refuse)
    client.raise_request_exception = False

    client.get("/api/events/")

    lines = plain_lines()
    assert all(line.isprintable() for line in lines)
    assert sum(FORGED in line for line in lines) == 1
    first, *traceback, request = lines
    assert first.endswith("ERROR Internal Server Error: /api/events/")
    assert traceback[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in traceback)
    assert re.search("INFO GET /api/events/ 500 in ", request)
