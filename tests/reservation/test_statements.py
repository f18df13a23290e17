"""The exact SQL statements of booking and cancelling."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reservation.models import Reservation
from tests.ledger import begin, sell_out

# Without a surrounding test transaction, the statements are the same as in production.
pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "FROM auth_user"
EVENT = "FROM event_event"
RESERVATION = "FROM reservation_reservation"
# The query for the reason of a failed booking: existing reservation, event started, no seats left.
REASON = f"{RESERVATION}, {EVENT}"
if connection.vendor == "postgresql":
    BOOK = [f"UPDATE event_event, {RESERVATION}, INSERT INTO reservation_reservation, {REASON}"]
    REFUSED = DOUBLED = BOOK
else:
    INSERT = ["INSERT INTO reservation_reservation", RESERVATION]
    BOOK = [REASON, "BEGIN", "UPDATE event_event", EVENT, *INSERT, "COMMIT"]
    REFUSED = DOUBLED = [REASON]
WORDS = r"\b(?:BEGIN|COMMIT|ROLLBACK)\b|(?:UPDATE|INSERT INTO|DELETE FROM|FROM) \"?\w+_\w+"


def outline(sql):
    """Return the SQL verbs of a statement with their tables."""
    return ", ".join(words.replace('"', "") for words in re.findall(WORDS, sql))


@pytest.fixture
def asked(as_user, bob, routes):
    """Send a request as bob, and return the outlines of its statements."""
    client = as_user(bob)

    def ask(method, address, body=None):
        with CaptureQueriesContext(connection) as queries:
            client.generic(method, address, body or "", content_type="application/json")
        return [outline(query["sql"]) for query in queries]

    return ask


@pytest.fixture
def book(asked, routes, event):
    return lambda: asked("POST", routes.reservations, f'{{"event_id": {event.pk}}}')


def test_booked(book):
    assert book() == [TOKEN, *BOOK]


def test_sold_out(book, event):
    sell_out(event)

    assert book() == [TOKEN, *REFUSED]


def test_started(book, event):
    begin(event)

    assert book() == [TOKEN, *REFUSED]


def test_already_reserved(book):
    book()

    assert book() == [TOKEN, *DOUBLED]


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
