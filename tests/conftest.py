"""Shared fixtures. Alice organizes an event, Bob attends it, and Carol does neither."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.conf import LazySettings, settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from event.models import Event
from reservation import booking_sql
from reservation.models import Reservation
from tests.admin import superuser
from tests.ledger import book
from tests.openapi import DocumentedClient


def pytest_configure() -> None:
    # Every test client creates the middleware again. Autorefresh keeps WhiteNoise from scanning all files each time.
    settings.WHITENOISE_AUTOREFRESH = True


@dataclass(frozen=True)
class Routes:
    """The paths of the API, either the long or the short ones."""

    signup: str
    login: str
    logout: str
    me: str
    password: str
    delete_account: str
    events: str
    reservations: str
    places: str
    attendees_of: str
    calendar: str

    def event(self, event: Event | int) -> str:
        return f"{self.events}{getattr(event, 'pk', event)}/"

    def attendees(self, event: Event | int) -> str:
        return f"{self.event(event)}{self.attendees_of}/"

    def attendee(self, event: Event | int, reservation: object) -> str:
        return f"{self.attendees(event)}{getattr(reservation, 'pk', reservation)}/"

    def cancel(self, event: Event | int) -> str:
        return f"{self.event(event)}cancel/"

    def check_in(self, event: Event | int, reservation: object = None) -> str:
        """Return the path to check in, or with a reservation that to undo its check-in."""
        number = getattr(reservation, "pk", reservation)
        return f"{self.event(event)}check-in/{'' if number is None else f'{number}/'}"

    def waitlist(self, event: Event | int) -> str:
        return f"{self.event(event)}waitlist/"

    def attendees_csv(self, event: Event | int) -> str:
        return f"{self.attendees(event)}?format=csv"

    def event_calendar(self, event: Event | int) -> str:
        return f"{self.event(event)}calendar.ics"

    def feed(self, key: object) -> str:
        return f"{self.calendar}{key}.ics"

    def reservation(self, reservation: object) -> str:
        return f"{self.reservations}{getattr(reservation, 'pk', reservation)}/"

    def place(self, place: object) -> str:
        return f"{self.places}{getattr(place, 'pk', place)}/"


LONG = Routes(
    signup="/api/authentication/signup/",
    login="/api/authentication/login/",
    logout="/api/authentication/logout/",
    me="/api/authentication/me/",
    password="/api/authentication/password/",
    delete_account="/api/authentication/delete-account/",
    events="/api/event/events/",
    reservations="/api/reservation/reservations/",
    places="/api/reservation/waitlist/",
    attendees_of="total-reservations",
    calendar="/api/reservation/calendar/",
)
SHORT = Routes(
    signup="/api/signup/",
    login="/api/login/",
    logout="/api/logout/",
    me="/api/me/",
    password="/api/password/",
    delete_account="/api/delete-account/",
    events="/api/events/",
    reservations="/api/reservations/",
    places="/api/waitlist/",
    attendees_of="reservations",
    calendar="/api/calendar/",
)


@pytest.fixture
def routes() -> Routes:
    """The documented long routes. test_routes.py checks that the short ones lead to the same views."""
    return LONG


@pytest.fixture(autouse=True)
def _database(db: None) -> None:
    """Every test may use the database."""


@pytest.fixture
def api() -> APIClient:
    """An unauthenticated client."""
    return DocumentedClient()


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", "alice@example.org")


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("bob", "bob@example.org")


@pytest.fixture
def carol() -> User:
    return User.objects.create_user("carol", "carol@example.org")


@pytest.fixture
def as_user() -> Callable[[User], APIClient]:
    """Return a function that creates a client with a user's token."""

    def sign_in(user: User) -> APIClient:
        token, _ = Token.objects.get_or_create(user=user)
        return DocumentedClient(headers={"authorization": f"Token {token.key}"})

    return sign_in


@pytest.fixture
def event_of() -> Callable[..., Event]:
    """Return a function that creates an event of an organizer, by default tomorrow."""

    def create(organizer: User, **fields: object) -> Event:
        start = fields.pop("start_time", timezone.now() + timedelta(days=1))
        defaults = {"title": "Concert", "capacity": 10, "start_time": start, "end_time": start + timedelta(hours=2)}
        return Event.objects.create(organizer=organizer, **defaults | fields)

    return create


@pytest.fixture
def event(alice: User, event_of: Callable[..., Event]) -> Event:
    """Alice's concert tomorrow, ten seats."""
    return event_of(alice)


@pytest.fixture
def reservation(bob: User, event: Event) -> Reservation:
    """Bob's reservation for the concert."""
    return book(event, bob)[0]


@pytest.fixture
def boss() -> Client:
    """A client that is logged in to the admin as a superuser."""
    return superuser()


@pytest.fixture
def people() -> Callable[[int], list[User]]:
    """Return a function that creates many users."""

    def create(count: int) -> list[User]:
        return User.objects.bulk_create(User(username=f"person{number}") for number in range(count))

    return create


@pytest.fixture
def booking_lock_timeout(settings: LazySettings) -> Iterator[Callable[[str], None]]:
    """Return a function that sets BOOKING_LOCK_TIMEOUT, also in compiled queries."""

    def wait_for(duration: str) -> None:
        settings.BOOKING_LOCK_TIMEOUT = duration
        booking_sql.statement.cache_clear()
        if booking_sql.is_supported():
            booking_sql.statement()

    yield wait_for
    booking_sql.statement.cache_clear()


@pytest.fixture(params=["in a transaction", "in one statement"])
def either_body(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with booking in a transaction, and on PostgreSQL also with booking in one statement."""
    if request.param == "in a transaction":
        monkeypatch.setattr(booking_sql, "is_supported", lambda: False)
    elif connection.vendor != "postgresql":
        pytest.skip("booking in one statement needs PostgreSQL")
    return request.param
