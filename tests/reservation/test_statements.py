"""The exact SQL statements of booking, cancelling, and joining and leaving a waiting list."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventmanagement.api.fast import AUTHENTICATOR
from reservation import booking_sql
from reservation.models import Reservation, WaitlistEntry
from tests.ledger import begin, sell_out

# Without a surrounding test transaction, the statements are the same as in production.
pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "FROM auth_user"
EVENT = "FROM event_event"
RESERVATION = "FROM reservation_reservation"
# The query for the reason of a failed booking: existing reservation, event started, no seats left.
REASON = f"{RESERVATION}, {EVENT}"
if connection.vendor == "postgresql":
    # One statement finds the user of the token and books.
    BOOK = [f"{TOKEN}, UPDATE event_event, {RESERVATION}, INSERT INTO reservation_reservation, {REASON}"]
    REFUSED = DOUBLED = BOOK
else:
    INSERT = ["INSERT INTO reservation_reservation", RESERVATION]
    BOOK = [TOKEN, REASON, "BEGIN", "UPDATE event_event", EVENT, *INSERT, "COMMIT"]
    REFUSED = DOUBLED = [TOKEN, REASON]
PLACE = "FROM reservation_waitlistentry"
# The query for the reason against joining: existing reservation, existing place, event started, free seats.
JOINING = f"{RESERVATION}, {PLACE}, {EVENT}"
WORDS = r"\b(?:BEGIN|COMMIT|ROLLBACK)\b|(?:UPDATE|INSERT INTO|DELETE FROM|FROM) \"?\w+_\w+"


def outline(sql):
    """Return the SQL verbs of a statement with their tables."""
    return ", ".join(words.replace('"', "") for words in re.findall(WORDS, sql))


@pytest.fixture
def asked(as_user, bob, routes):
    """Send a request as bob, and return the outlines of its statements."""
    client = as_user(bob)
    if connection.vendor == "postgresql":
        # Compiled once, and its compilation shows up among the queries.
        booking_sql.statement_by_token(AUTHENTICATOR.user_by_token)

    def ask(method, address, body=None):
        with CaptureQueriesContext(connection) as queries:
            client.generic(method, address, body or "", content_type="application/json")
        return [outline(query["sql"]) for query in queries]

    return ask


@pytest.fixture
def book(asked, routes, event):
    return lambda: asked("POST", routes.reservations, f'{{"event_id": {event.pk}}}')


def test_booked(book):
    assert book() == BOOK


def test_sold_out(book, event):
    sell_out(event)

    assert book() == REFUSED


def test_started(book, event):
    begin(event)

    assert book() == REFUSED


def test_called_off(book, event):
    event.cancel()

    assert book() == REFUSED


def test_already_reserved(book):
    book()

    assert book() == DOUBLED


def test_cancelled(asked, book, bob, routes):
    book()

    statements = asked("DELETE", routes.reservation(Reservation.objects.get()))

    assert statements == [
        TOKEN,
        RESERVATION,
        "BEGIN",
        RESERVATION,
        "UPDATE event_event",
        EVENT,
        "DELETE FROM reservation_reservation",
        "COMMIT",
    ]


@pytest.fixture
def full(event_of, alice, carol):
    """Alice's event with one seat, which Carol has."""
    full = event_of(alice, capacity=1)
    Reservation.objects.book(user=carol, event_id=full.pk)
    return full


@pytest.fixture
def join(asked, routes):
    return lambda event: asked("POST", routes.places, f'{{"event_id": {event.pk}}}')


def test_joined(join, full):
    assert join(full) == [
        TOKEN,
        JOINING,
        "BEGIN",
        "UPDATE event_event",
        EVENT,
        JOINING,
        "INSERT INTO reservation_waitlistentry",
        PLACE,
        "COMMIT",
    ]


def test_joining_is_refused(join, event):
    assert join(event) == [TOKEN, JOINING]


def test_left(asked, join, full, routes):
    join(full)

    statements = asked("DELETE", routes.place(WaitlistEntry.objects.get()))

    assert statements == [
        TOKEN,
        PLACE,
        "BEGIN",
        PLACE,
        "UPDATE event_event",
        "DELETE FROM reservation_waitlistentry",
        "COMMIT",
    ]


@pytest.fixture
def door(as_user, alice, bob, routes, event):
    """Send a request to the door as the organizer, about Bob's reservation. Returns the outlines of its statements."""
    reservation = Reservation.objects.book(user=bob, event_id=event.pk)
    client = as_user(alice)

    def ask(method):
        address = routes.check_in(event, None if method == "POST" else reservation)
        with CaptureQueriesContext(connection) as queries:
            client.generic(method, address, f'{{"reservation": {reservation.pk}}}', content_type="application/json")
        return [outline(query["sql"]) for query in queries]

    return ask


@pytest.mark.parametrize("times", [1, 2])
def test_checked_in(door, times):
    statements = [door("POST") for _ in range(times)][-1]

    assert statements == [
        TOKEN,
        EVENT,
        "BEGIN",
        # Locks the event.
        EVENT,
        "UPDATE reservation_reservation",
        RESERVATION,
        "COMMIT",
    ]


def test_check_in_undone(door):
    assert door("DELETE") == [TOKEN, EVENT, "BEGIN", EVENT, "UPDATE reservation_reservation", "COMMIT"]


def test_checked_in_is_refused_without_a_transaction_that_writes(asked, bob, event, routes):
    reservation = Reservation.objects.book(user=bob, event_id=event.pk)
    Reservation.objects.check_in(event.pk, reservation.pk)

    statements = asked("DELETE", routes.reservation(reservation))

    assert statements == [TOKEN, RESERVATION, "BEGIN", RESERVATION, "ROLLBACK"]


def test_event_called_off(as_user, alice, event, routes):
    client = as_user(alice)

    with CaptureQueriesContext(connection) as queries:
        client.post(routes.cancel(event))

    assert [outline(query["sql"]) for query in queries if "SAVEPOINT" not in query["sql"]] == [
        TOKEN,
        EVENT,
        "BEGIN",
        # Locks the event, checks that it is not called off.
        EVENT,
        EVENT,
        "UPDATE event_event",
        "DELETE FROM reservation_waitlistentry",
        # The seats for the journal, and the event for the response.
        EVENT,
        EVENT,
        "COMMIT",
    ]


def test_cancelled_with_somebody_waiting(asked, bob, carol, event_of, alice, routes):
    full = event_of(alice, capacity=1)
    reservation = Reservation.objects.book(user=bob, event_id=full.pk)
    WaitlistEntry.objects.join(user=carol, event_id=full.pk)

    statements = asked("DELETE", routes.reservation(reservation))

    assert statements == [
        TOKEN,
        RESERVATION,
        "BEGIN",
        RESERVATION,
        # Matches no row, because somebody waits. Then the event is locked.
        "UPDATE event_event",
        EVENT,
        # Events with a waiting list, the first place, who has a seat already.
        f"{EVENT}, {PLACE}",
        PLACE,
        RESERVATION,
        "INSERT INTO reservation_reservation",
        "DELETE FROM reservation_waitlistentry",
        "UPDATE event_event",
        EVENT,
        "DELETE FROM reservation_reservation",
        "COMMIT",
    ]
