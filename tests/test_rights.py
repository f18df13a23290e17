"""The access rights of each role for every route and method, as one table."""

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User

from reservation.calendar import digest
from reservation.models import CalendarKey
from tests.ledger import assert_balanced, book, wait

EVENT = {"title": "Other", "capacity": 20, "start_time": "2999-01-01T00:00:00Z", "end_time": "2999-01-02T00:00:00Z"}
PASSWORD = "correct horse battery"
# The key of Bob's calendar.
KEY = "k" * 43

# Bob attends Alice's event, and is on the waiting list of another one. Carol is a stranger to both. Staff have the same
# rights as Carol.
ROLES = ("anonymous", "stranger", "attendee", "organizer", "staff")
RIGHTS = [
    ("GET", "events", None, (200, 200, 200, 200, 200)),
    ("POST", "events", EVENT, (401, 201, 201, 201, 201)),
    ("GET", "event", None, (200, 200, 200, 200, 200)),
    ("PUT", "event", EVENT, (401, 403, 403, 200, 403)),
    ("PATCH", "event", {"capacity": 20}, (401, 403, 403, 200, 403)),
    ("DELETE", "event", None, (401, 403, 403, 204, 403)),
    ("POST", "cancel", None, (401, 403, 403, 200, 403)),
    ("GET", "attendees", None, (401, 403, 403, 200, 403)),
    ("DELETE", "attendee", None, (401, 403, 403, 204, 403)),
    ("POST", "check_in", {"reservation": None}, (401, 403, 403, 200, 403)),
    ("DELETE", "undo_check_in", None, (401, 403, 403, 204, 403)),
    ("GET", "waitlist", None, (401, 403, 403, 200, 403)),
    ("GET", "attendees_csv", None, (401, 403, 403, 200, 403)),
    ("GET", "event_calendar", None, (200, 200, 200, 200, 200)),
    ("GET", "reservations", None, (401, 200, 200, 200, 200)),
    ("GET", "reservation", None, (401, 404, 200, 404, 404)),
    ("DELETE", "reservation", None, (401, 404, 204, 404, 404)),
    ("GET", "places", None, (401, 200, 200, 200, 200)),
    ("GET", "place", None, (401, 404, 200, 404, 404)),
    ("DELETE", "place", None, (401, 404, 204, 404, 404)),
    ("POST", "calendar", None, (401, 201, 201, 201, 201)),
    ("DELETE", "calendar", None, (401, 204, 204, 204, 204)),
    # The key of the attendee's calendar is enough.
    ("GET", "feed", None, (200, 200, 200, 200, 200)),
    ("POST", "logout", None, (401, 204, 204, 204, 204)),
    ("GET", "me", None, (401, 200, 200, 200, 200)),
    ("PATCH", "me", {"email": "other@example.org"}, (401, 200, 200, 200, 200)),
    ("POST", "password", {"old_password": PASSWORD, "new_password": "another one"}, (401, 200, 200, 200, 200)),
    ("POST", "delete_account", {"password": PASSWORD}, (401, 204, 204, 400, 204)),
]
CASES = [
    pytest.param(method, name, body, role, status, id=f"{role} {method} {name}")
    for method, name, body, statuses in RIGHTS
    for role, status in zip(ROLES, statuses, strict=True)
]


@pytest.fixture
def clients(settings, api, as_user, alice, bob, carol):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    staff = User.objects.create_superuser("staff", "staff@example.org")
    User.objects.update(password=make_password(PASSWORD))
    CalendarKey.objects.create(user=bob, digest=digest(KEY))
    people = {"stranger": carol, "attendee": bob, "organizer": alice, "staff": staff}
    return {"anonymous": api} | {role: as_user(person) for role, person in people.items()}


@pytest.fixture
def place(alice, bob, carol, event_of):
    """Bob's place on the waiting list of another event of Alice's, whose only seat Carol has."""
    full = event_of(alice, title="Full", capacity=1)
    book(full, carol)
    return wait(full, bob)[0]


@pytest.mark.parametrize(("method", "name", "body", "role", "status"), CASES)
def test_right(clients, routes, event, reservation, place, method, name, body, role, status):
    route = getattr(routes, name.removeprefix("undo_"))
    objects = {"reservation": [reservation], "place": [place], "waitlist": [place.event], "feed": [KEY]}
    objects |= {"attendee": [event, reservation], "undo_check_in": [event, reservation]}
    address = route if isinstance(route, str) else route(*objects.get(name, [event]))
    if name == "check_in":
        body = {"reservation": reservation.pk}

    response = getattr(clients[role], method.lower())(address, body)

    assert response.status_code == status
    # A file is closed after its last byte.
    b"".join(response)
    assert_balanced()


@pytest.mark.parametrize("role", ROLES)
def test_email_addresses_are_not_shown(clients, routes, event, reservation, place, role):
    addresses = [routes.events, routes.event(event), routes.attendees(event), routes.reservations, routes.feed(KEY)]
    addresses += [routes.waitlist(place.event), routes.places]

    shown = [clients[role].get(address).content.decode() for address in addresses]

    assert "@" not in "".join(shown)


def test_list_shows_only_own_reservations(clients, routes, reservation):
    counts = {role: clients[role].get(routes.reservations).json().get("count") for role in ROLES}

    assert counts == {"anonymous": None, "stranger": 0, "attendee": 1, "organizer": 0, "staff": 0}


def test_list_shows_only_own_places(clients, routes, place):
    counts = {role: clients[role].get(routes.places).json().get("count") for role in ROLES}

    assert counts == {"anonymous": None, "stranger": 0, "attendee": 1, "organizer": 0, "staff": 0}
