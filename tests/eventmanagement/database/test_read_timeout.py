"""The statement timeout of lists and searches."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.serializers import ListSerializer

from event.models import EventQuerySet
from eventmanagement.database.errors import read_timeout
from reservation.models import Reservation, ReservationQuerySet
from tests.database import slowly

# Without a surrounding test transaction, the statements are the same as in production.
pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such limit")

LISTS = ["events", "reservations", "attendees"]


def limits():
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        [timeout] = cursor.fetchone()
        cursor.execute("SHOW max_parallel_workers_per_gather")
        return timeout, *cursor.fetchone()


@pytest.fixture
def get(as_user, alice, event, routes):
    """Request a page of one of the lists as alice, who attends her own event."""
    Reservation.objects.book(user=alice, event_id=event.pk)
    addresses = {"events": routes.events, "reservations": routes.reservations, "attendees": routes.attendees(event)}
    client = as_user(alice)
    return lambda name, **query: client.get(addresses[name], query)


@on_postgresql
@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("step", ["count", "_fetch_all"], ids=["count", "page"])
def test_list_that_takes_too_long_is_unavailable(get, settings, monkeypatch, name, step):
    settings.READ_TIMEOUT = "10ms"
    rows = EventQuerySet if name == "events" else ReservationQuerySet
    monkeypatch.setattr(rows, step, slowly(getattr(rows, step)))

    response = get(name, page=1)

    assert response.status_code == 503
    assert response.json()["code"] == "unavailable"


@on_postgresql
def test_limits_end_with_the_read():
    before = limits()

    with read_timeout():
        within = limits()

    assert within == ("1500ms", "0")
    assert limits() == before != within


@on_postgresql
def test_limits_end_with_a_read_that_fails(get, settings, monkeypatch):
    before = limits()
    settings.READ_TIMEOUT = "10ms"
    monkeypatch.setattr(EventQuerySet, "count", slowly(EventQuerySet.count))

    assert get("events", page=1).status_code == 503
    assert limits() == before


@pytest.mark.parametrize("name", LISTS)
def test_rows_are_rendered_outside_the_transaction(get, monkeypatch, name):
    in_transaction = []
    represent = ListSerializer.to_representation

    def watch(serializer, rows):
        in_transaction.append(connection.in_atomic_block)
        return represent(serializer, rows)

    monkeypatch.setattr(ListSerializer, "to_representation", watch)

    get(name, page=1)

    assert in_transaction == [False]


@pytest.mark.parametrize("name", LISTS)
def test_list_takes_one_short_transaction_and_on_sqlite_none(get, name):
    with CaptureQueriesContext(connection) as queries:
        get(name, page=1)

    statements = [query["sql"].split()[0] for query in queries]
    limited = ["BEGIN", "SELECT", "SELECT", "SELECT", "COMMIT"]
    assert statements[-len(limited) :] == limited if connection.vendor == "postgresql" else "BEGIN" not in statements


@pytest.mark.parametrize("name", LISTS)
def test_list_without_parameters_takes_no_transaction(get, name):
    with CaptureQueriesContext(connection) as queries:
        get(name)

    assert {query["sql"].split()[0] for query in queries} == {"SELECT"}
    assert not any("set_config" in query["sql"] for query in queries)


def test_bad_page_size_asks_the_database_nothing(api, routes, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = api.get(routes.events, {"page_size": "ten"})

    assert response.status_code == 400
