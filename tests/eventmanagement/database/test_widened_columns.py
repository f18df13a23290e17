"""No request fails when a migration widens a column that open connections have prepared statements for."""

import pytest
from django.db import connection, transaction

from event.models import EVENT_BY_ID, Event
from eventmanagement.database.postgresql import Prepared
from reservation.models import Reservation
from tests.conftest import LONG
from tests.ledger import assert_balanced, sell_out

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has prepared statements"),
]

# Table, column, wider type, original type.
COLUMNS = [
    ("event_event", "title", "varchar(300)", "varchar(200)"),
    ("auth_user", "username", "varchar(160)", "varchar(150)"),
    ("reservation_reservation", "created_at", "timestamptz(6)", "timestamptz"),
]


@pytest.fixture(params=COLUMNS, ids=lambda column: column[1])
def widen(request):
    """Return a function that widens a column in another session."""
    table, column, wide, narrow = request.param
    other = connection.copy()

    def alter(kind):
        with other.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}")

    yield lambda: alter(wide)
    alter(narrow)
    other.close()


@pytest.fixture
def stage(alice, bob, event_of, as_user):
    """Create the data for one action: an event of Alice's where Bob has a seat, and a client for each of them."""

    def build():
        event = event_of(alice)
        return {
            "event": event,
            "held": Reservation.objects.book(user=bob, event_id=event.pk),
            "organizer": as_user(alice),
            "attendee": as_user(bob),
        }

    return build


def book(event, organizer, **others):
    return organizer.post(LONG.reservations, {"event_id": event.pk}).status_code


def refuse_holder(event, attendee, **others):
    return attendee.post(LONG.reservations, {"event_id": event.pk}).json()["code"]


def refuse_sold_out(event, organizer, **others):
    sell_out(event)
    code = organizer.post(LONG.reservations, {"event_id": event.pk}).json()["code"]
    Event.objects.filter(pk=event.pk).delete()
    return code


def cancel(held, attendee, **others):
    return attendee.delete(LONG.reservation(held)).status_code


def create_event(organizer, **others):
    times = {"start_time": "2999-01-01T00:00:00Z", "end_time": "2999-01-02T00:00:00Z"}
    return organizer.post(LONG.events, times | {"title": "New", "capacity": 3}).status_code


def delete_event(event, organizer, **others):
    return organizer.delete(LONG.event(event)).status_code


def patch(event, organizer, **others):
    return organizer.patch(LONG.event(event), {"capacity": 12, "title": "Wider"}).status_code


def see_events(attendee, **others):
    return attendee.get(LONG.events).status_code


def see_event(event, attendee, **others):
    return attendee.get(LONG.event(event)).status_code


def see_reservations(attendee, **others):
    return attendee.get(LONG.reservations).status_code


def see_reservation(held, attendee, **others):
    return attendee.get(LONG.reservation(held)).status_code


def see_attendees(event, organizer, **others):
    return organizer.get(LONG.attendees(event)).status_code


def book_in_a_transaction(event, organizer, **others):
    with transaction.atomic(), transaction.atomic():
        return book(event, organizer)


def two_statements_in_a_transaction(event, carol, **others):
    with transaction.atomic():
        Reservation.objects.create(user=carol, event=event).cancel()


def read_in_a_transaction_by_hand(event, **others):
    connection.set_autocommit(False)
    try:
        return Event.objects.read(event.pk).title
    finally:
        connection.rollback()
        connection.set_autocommit(True)


def read_in_a_transaction_of_sql(event, **others):
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            return Event.objects.read(event.pk).title
        finally:
            cursor.execute("ROLLBACK")


ACTIONS = {
    book: 201,
    refuse_holder: "already_reserved",
    refuse_sold_out: "sold_out",
    cancel: 204,
    create_event: 201,
    delete_event: 204,
    patch: 200,
    see_events: 200,
    see_event: 200,
    see_reservations: 200,
    see_reservation: 200,
    see_attendees: 200,
    book_in_a_transaction: 201,
    two_statements_in_a_transaction: None,
    read_in_a_transaction_by_hand: "Concert",
    read_in_a_transaction_of_sql: "Concert",
}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_action_succeeds_on_a_connection_that_has_done_it_before(stage, carol, widen, action):
    before, after = stage(), stage()
    assert action(carol=carol, **before) == ACTIONS[action]

    widen()

    assert action(carol=carol, **after) == ACTIONS[action]
    assert_balanced()


@pytest.fixture
def planned():
    """Return which of the project's statements are prepared on this connection."""

    def ask():
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%event_event%%'")
            return cursor.fetchone()[0]

    connection.close()
    return ask


def test_statement_outside_a_transaction_is_planned_once(event, planned):
    for _ in range(2):
        Event.objects.read(event.pk)

    assert planned() == 1


def test_statement_within_a_transaction_is_planned_each_time(event, planned):
    statement = EVENT_BY_ID.statement
    assert isinstance(statement.sql, Prepared)

    with transaction.atomic():
        Event.objects.read(event.pk)
        with transaction.atomic():
            Event.objects.read(event.pk)

        assert planned() == 0


def test_statement_after_sql_begin_is_planned_each_time(event, planned):
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        Event.objects.read(event.pk)

        assert planned() == 0
        cursor.execute("COMMIT")


def test_prepared_statement_is_not_used_within_transaction(event, planned, widen):
    Event.objects.read(event.pk)
    assert planned() == 1

    with transaction.atomic():
        widen()
        assert Event.objects.read(event.pk) == event
