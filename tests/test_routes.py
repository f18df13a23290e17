"""Each route of the API has a documented long path and a short one, which lead to the same view."""

import re
from collections.abc import Iterable, Iterator

import pytest
from django.urls import ResolverMatch, URLPattern, URLResolver, get_resolver, resolve, reverse

from tests.conftest import LONG, SHORT
from tests.ledger import assert_balanced
from tests.openapi import DocumentedClient, long_path

LONG_PREFIXES = ("/api/authentication/", "/api/event/", "/api/reservation/")
UNKNOWN_PATH = "/api/<path:path>"


def all_routes(patterns: Iterable[URLPattern | URLResolver], prefix: str = "/") -> Iterator[str]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from all_routes(pattern.url_patterns, route)
        else:
            yield route


def path_of(route: str) -> str:
    """Return a path for a route, with a different number for each argument."""
    numbers = iter(range(1, 10))
    return re.sub(r"<[^>]+>", lambda argument: str(next(numbers)), route)


PATHS = [path_of(route) for route in all_routes(get_resolver().url_patterns) if route != UNKNOWN_PATH]
LONG_PATHS = [path for path in PATHS if path.startswith(LONG_PREFIXES)]
SHORT_PATHS = [path for path in PATHS if path.startswith("/api/") and not path.startswith(LONG_PREFIXES)]


def view_of(match: ResolverMatch) -> tuple:
    """Return what a path resolves to: view class, actions by method, options and arguments."""
    view = match.func
    return view.cls, getattr(view, "actions", None), view.initkwargs, match.args, match.kwargs


@pytest.mark.parametrize("path", SHORT_PATHS)
def test_short_path_leads_to_the_view_of_the_long_one(path):
    assert view_of(resolve(path)) == view_of(resolve(long_path(path)))


def test_each_long_path_has_one_short_path():
    assert sorted(map(long_path, SHORT_PATHS)) == sorted(LONG_PATHS)


# The name of each route, with the attribute of ``Routes`` that has the path or builds it from an id.
NAMES = {
    "signup": "signup",
    "login": "login",
    "logout": "logout",
    "me": "me",
    "password": "password",
    "delete-account": "delete_account",
    "event-list": "events",
    "event-detail": "event",
    "event-cancel": "cancel",
    "event-reservations": "attendees",
    "event-reservation": "attendee",
    "event-check-in": "check_in",
    "event-check-in-undo": "check_in",
    "event-waitlist": "waitlist",
    "event-calendar": "event_calendar",
    "reservation-list": "reservations",
    "reservation-detail": "reservation",
    "waitlist-list": "places",
    "waitlist-detail": "place",
    "calendar": "calendar",
    "calendar-feed": "feed",
}
# The routes with the id of an event and that of a reservation.
WITH_TWO_IDS = ("event-reservation", "event-check-in-undo")


@pytest.mark.parametrize(("name", "attribute"), NAMES.items(), ids=NAMES)
def test_names_lead_to_both_paths(name, attribute):
    paths = [getattr(routes, attribute) for routes in (LONG, SHORT)]
    arguments = [] if isinstance(paths[0], str) else [7, 8] if name in WITH_TWO_IDS else [7]

    reversed_paths = [reverse(name, args=arguments), reverse(f"short:{name}", args=arguments)]

    assert reversed_paths == [path(*arguments) if arguments else path for path in paths]


def test_each_path_has_a_name():
    assert {resolve(path).view_name for path in LONG_PATHS} == set(NAMES)
    assert {resolve(path).view_name for path in SHORT_PATHS} == {f"short:{name}" for name in NAMES}


def test_short_paths_serve_from_sign_up_to_log_out():
    account = {"username": "dave", "password": "correct horse battery"}
    times = {"start_time": "2999-01-01T00:00:00Z", "end_time": "2999-01-02T00:00:00Z"}
    client = DocumentedClient()

    assert client.post(SHORT.signup, account).status_code == 201
    token = client.post(SHORT.login, account).json()["token"]
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    event = client.post(SHORT.events, times | {"title": "Concert", "capacity": 1}).json()
    assert client.get(SHORT.events).json()["results"] == [event]
    resized = client.patch(SHORT.event(event["id"]), {"capacity": 2}).json()
    assert resized == event | {"capacity": 2, "seats_remaining": 2}
    reservation = client.post(SHORT.reservations, {"event_id": event["id"]}).json()
    assert client.get(SHORT.event(event["id"])).json()["seats_remaining"] == 1
    assert client.get(SHORT.reservations).json()["results"] == [reservation]
    assert client.get(SHORT.reservation(reservation["id"])).json() == reservation
    assert client.get(SHORT.attendees(event["id"])).json()["count"] == 1
    entered = client.post(SHORT.check_in(event["id"]), {"reservation": reservation["id"]}).json()
    assert client.get(SHORT.attendees(event["id"])).json()["results"] == [entered]
    assert client.delete(SHORT.check_in(event["id"], reservation["id"])).status_code == 204
    assert client.delete(SHORT.attendee(event["id"], reservation["id"])).status_code == 204
    reservation = client.post(SHORT.reservations, {"event_id": event["id"]}).json()
    assert client.post(SHORT.cancel(event["id"])).json()["cancelled_at"]
    assert client.delete(SHORT.reservation(reservation["id"])).status_code == 204
    assert_balanced()
    assert client.delete(SHORT.event(event["id"])).status_code == 204
    assert client.get(SHORT.me).json()["username"] == "dave"
    changed = client.patch(SHORT.me, {"email": "dave@example.org"}).json()
    assert changed["email"] == "dave@example.org"
    passwords = {"old_password": account["password"], "new_password": "another password"}
    token = client.post(SHORT.password, passwords).json()["token"]
    assert client.get(SHORT.me).status_code == 401
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert client.post(SHORT.logout).status_code == 204
    assert client.get(SHORT.reservations).status_code == 401
    token = client.post(SHORT.login, account | {"password": "another password"}).json()["token"]
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert client.post(SHORT.delete_account, {"password": "another password"}).status_code == 204
    assert client.get(SHORT.me).status_code == 401
