"""A long waiting list stays fast: how many of its rows each request reads.

For a table of the times, run: PLACES=100000 .venv/bin/pytest -s tests/reservation/test_long_waitlist.py
"""

import os
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from reservation.models import WaitlistEntry
from reservation.waitlist import set_positions
from tests.ledger import assert_balanced, book

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite can't count the rows that it reads"),
]
PLACES = int(os.environ.get("PLACES", 3000))
FILL = """
WITH waiting AS (
    INSERT INTO auth_user
        (username, email, password, first_name, last_name, is_superuser, is_staff, is_active, date_joined)
    SELECT 'waiting' || n, '', '', '', '', false, false, true, now() FROM generate_series(1, %(places)s) n
    RETURNING id
), counted AS (
    UPDATE event_event SET waiting = %(places)s WHERE id = %(event)s
)
INSERT INTO reservation_waitlistentry (event_id, user_id) SELECT %(event)s, id FROM waiting ORDER BY id
"""


@pytest.fixture
def event(alice, bob, carol, event_of):
    """Alice's event with one seat, which Bob has, and many people waiting. Carol does not."""
    event = event_of(alice, capacity=1)
    book(event, bob)
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"places": PLACES, "event": event.pk})
        cursor.execute("VACUUM ANALYZE")
    return event


def rows_read(plan):
    """Return how many rows of the waiting list the plan reads, including those that it filters out."""
    own = 0
    if plan.get("Relation Name") == WaitlistEntry._meta.db_table and "Scan" in plan["Node Type"]:
        own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return own + sum(map(rows_read, plan.get("Plans", [])))


class Cost:
    """The rows that the statements read, and their time in the database in milliseconds."""

    rows = 0
    milliseconds = 0.0


@contextmanager
def cost_of(name):
    """Explain each statement before it runs, in a savepoint that is rolled back."""
    cost = Cost()

    def explain(execute, sql, parameters, many, context):
        if sql.split()[0] in ("SELECT", "UPDATE", "INSERT", "DELETE"):
            with transaction.atomic(), context["connection"].connection.cursor() as cursor:
                [(explained,)] = cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters).fetchall()
                transaction.set_rollback(True)
            cost.rows += rows_read(explained[0]["Plan"])
            cost.milliseconds += explained[0]["Execution Time"]
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(explain):
        yield cost
    print(f"| {name} | {cost.rows:,.0f} | {cost.milliseconds:.1f} ms |")


def test_organizers_pages(as_user, alice, routes, event):
    last = PLACES // 10
    client = as_user(alice)

    with cost_of("first page of the organizer's list") as first:
        response = client.get(routes.waitlist(event)).json()
    with cost_of("last page") as deep:
        last_page = client.get(routes.waitlist(event), {"page": last}).json()

    assert [each["position"] for each in response["results"]] == list(range(1, 11))
    assert [each["position"] for each in last_page["results"]] == list(range(PLACES - 9, PLACES + 1))
    # Counting reads all places, and the last page skips them once. Positions need no further reads.
    assert first.rows <= PLACES + 10
    assert deep.rows <= 2 * PLACES + 10


def test_own_places(as_user, routes, event):
    first, last = WaitlistEntry.objects.order_by("pk").first(), WaitlistEntry.objects.order_by("-pk").first()

    with cost_of("own places, first in line") as cheap:
        as_user(first.user).get(routes.places)
    with cost_of("own places, last in line") as dear:
        response = as_user(last.user).get(routes.places).json()

    assert response["results"][0]["position"] == PLACES
    assert cheap.rows <= 5
    assert dear.rows <= PLACES + 5


def test_positions_of_a_page_in_the_admin(event):
    places = list(WaitlistEntry.objects.order_by("pk")[PLACES - 100 :])

    with cost_of("positions of the last page in the admin") as cost:
        set_positions(places)

    assert [place.position for place in places] == list(range(PLACES - 99, PLACES + 1))
    # The list is read once, and the places of the page are found with an index or by another scan.
    assert cost.rows <= 2 * PLACES + 200


def test_joining(as_user, carol, routes, event):
    client = as_user(carol)
    with cost_of("join") as cost:
        response = client.post(routes.places, {"event_id": event.pk})

    assert response.json()["position"] == PLACES + 1
    assert cost.rows <= 5
    assert_balanced()


def test_leaving(as_user, routes, event):
    place = WaitlistEntry.objects.order_by("pk")[PLACES // 2]
    client = as_user(place.user)
    with cost_of("leave") as cost:
        assert client.delete(routes.place(place)).status_code == 204

    assert cost.rows <= 5
    assert_balanced()


@pytest.mark.parametrize("seats", [1, PLACES // 100])
def test_promoting(as_user, alice, routes, event, seats):
    client = as_user(alice)
    with cost_of(f"promote {seats}") as cost:
        response = client.patch(routes.event(event), {"capacity": 1 + seats}).json()

    assert response["waiting"] == PLACES - seats
    # Finding that there is a list, reading the first places, and deleting them.
    assert cost.rows <= 2 * seats + 5
    assert_balanced()


def test_booking_a_full_event(as_user, carol, routes, event):
    with cost_of("book, sold out") as cost:
        as_user(carol).post(routes.reservations, {"event_id": event.pk})

    assert cost.rows == 0
