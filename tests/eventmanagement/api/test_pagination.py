"""Long lists: cached counts, deep pages and indexes."""

import time
from datetime import timedelta
from itertools import chain

import pytest
from django.core.cache import cache
from django.db import connection

from event.filters import EventFilter
from event.models import Event, EventQuerySet
from eventmanagement.api import pagination
from eventmanagement.api.pagination import CachedCountPaginator
from reservation.models import Reservation
from tests.database import READ_TIMEOUT_STATEMENTS
from tests.ledger import sell_out

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="checks PostgreSQL's query plans")


@pytest.fixture
def five(alice, event_of):
    """Five events, a day apart."""
    first = event_of(alice, title="0", capacity=4)
    later = [
        event_of(alice, title=str(n), capacity=4 + n % 2, start_time=first.start_time + timedelta(days=n))
        for n in range(1, 5)
    ]
    return [first, *later]


@pytest.fixture
def long_from_three(monkeypatch):
    """Treat a list of more than three rows as a long list."""
    monkeypatch.setattr(pagination, "MAX_UNCACHED_COUNT", 3)
    yield
    cache.clear()


def count(client, address, **query):
    return client.get(address, query).json()["count"]


def test_long_count_is_cached(api, routes, five, long_from_three):
    count(api, routes.events)
    five[0].delete()

    assert count(api, routes.events) == 5


def test_page_beyond_rows_is_404_despite_cached_count(api, routes, five, long_from_three):
    count(api, routes.events)
    five[0].delete()

    assert api.get(routes.events, {"page": 5, "page_size": 1}).status_code == 404


def test_count_is_taken_again_when_its_time_is_over(api, routes, five, long_from_three, monkeypatch):
    monkeypatch.setattr(pagination, "COUNT_TTL", 0)
    count(api, routes.events)
    five[0].delete()

    assert count(api, routes.events) == 4


def test_only_one_request_refreshes_cached_count(api, routes, five, long_from_three, monkeypatch):
    count(api, f"{routes.events}?page=1")
    five[0].delete()
    count_rows, responses = EventQuerySet.count, []

    def ask_meanwhile(events):
        if not responses:
            responses.append(None)
            responses.append(count(api, f"{routes.events}?page=1"))
        return count_rows(events)

    monkeypatch.setattr(EventQuerySet, "count", ask_meanwhile)
    later = time.time() + pagination.COUNT_TTL
    monkeypatch.setattr(time, "time", lambda: later)

    assert count(api, f"{routes.events}?page=1") == 4
    assert responses == [None, 5]


def test_count_of_a_list_that_became_short_is_exact(api, routes, five, long_from_three, monkeypatch):
    count(api, routes.events)
    for event in five[:2]:
        event.delete()
    later = time.time() + pagination.COUNT_TTL
    monkeypatch.setattr(time, "time", lambda: later)

    assert [count(api, routes.events) for _ in range(3)] == [3, 3, 3]


def test_count_of_a_short_list_is_exact(api, routes, five):
    count(api, routes.events)
    five[0].delete()

    assert count(api, routes.events) == 4


def test_counts_are_cached_per_query(api, as_user, alice, bob, routes, five, long_from_three):
    for event in five[:4]:
        Reservation.objects.book(user=bob, event_id=event.pk)

    assert count(api, routes.events) == 5
    assert count(api, routes.events, organizer=alice.pk) == 5
    assert count(api, routes.events, search="3") == 1
    assert count(as_user(bob), routes.reservations) == 4
    assert count(as_user(alice), routes.reservations) == 0


def test_cached_count_needs_no_query(api, routes, five, long_from_three, django_assert_num_queries):
    count(api, routes.events)

    with django_assert_num_queries(1):
        count(api, routes.events)


@pytest.mark.parametrize("ordering", ["start_time", "-start_time", "capacity", "-capacity", "seats_remaining"])
def test_deep_pages_continue_the_order(api, routes, five, ordering, monkeypatch):
    whole = api.get(routes.events, {"ordering": ordering}).json()["results"]
    monkeypatch.setattr(pagination, "DEEP_PAGE_OFFSET", 1)

    pages = [
        api.get(routes.events, {"ordering": ordering, "page": page, "page_size": 2}).json()["results"]
        for page in (1, 2, 3)
    ]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert list(chain(*pages)) == whole


def test_deep_page_that_is_not_there(api, routes, five, monkeypatch):
    monkeypatch.setattr(pagination, "DEEP_PAGE_OFFSET", 1)

    assert api.get(routes.events, {"page": 4, "page_size": 2}).status_code == 404


def test_deep_page_takes_as_many_queries_as_any(api, routes, five, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(pagination, "DEEP_PAGE_OFFSET", 1)

    with django_assert_num_queries(2 + READ_TIMEOUT_STATEMENTS):
        api.get(routes.events, {"page": 2, "page_size": 2})


def plan_of_the_last(call, *switched_off):
    """Return the plan of a call's last statement, with these plan types disabled, as for a large table."""
    statements = []

    def remember(execute, sql, parameters, many, context):
        statements.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(remember):
        call()
    sql, parameters = [statement for statement in statements if " FROM " in statement[0]][-1]
    with connection.cursor() as cursor:
        for way in switched_off:
            cursor.execute(f"SET LOCAL {way} = off")
        cursor.execute(f"EXPLAIN {sql}", parameters)
        return "\n".join(line for (line,) in cursor.fetchall())


@on_postgresql
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("ordering=", "event_by_start_and_end"),
        ("ordering=-start_time", "event_by_start_and_end"),
        ("ordering=capacity", "event_by_capacity"),
        ("ordering=-capacity", "event_by_capacity_down"),
        ("available=true", "event_by_start_and_end"),
        ("available=false", "event_by_start_and_end"),
        ("start_after=2030-01-01T00:00:00Z", "event_by_start_and_end"),
        ("upcoming=true", "event_by_start_and_end"),
        ("upcoming=false", "event_by_start_and_end"),
        ("organizer=1", "event_by_organizer"),
    ],
)
def test_lists_have_their_indexes(api, routes, five, query, index):
    sell_out(five[0])
    with connection.cursor() as cursor:
        # An earlier vacuum may have found the table empty. Then all indexes seem to cost the same.
        cursor.execute("ANALYZE event_event")

    plan = plan_of_the_last(
        lambda: api.get(f"{routes.events}?{query}"),
        "enable_seqscan",
        "enable_bitmapscan",
        "enable_sort",
        # Many events have the same capacity, but few start at the same time.
        *(["enable_incremental_sort"] if "capacity" in query else []),
    )

    assert f"using {index} " in plan


@on_postgresql
def test_search_has_its_index(five):
    words = EventFilter({"search": "harbour"}, Event.objects.order_by()).qs

    assert "event_by_words" in plan_of_the_last(words.count, "enable_seqscan", "enable_indexscan")


@on_postgresql
def test_own_reservations_have_their_index(bob):
    own = CachedCountPaginator(Reservation.objects.filter(user=bob), 10)

    plan = plan_of_the_last(lambda: list(own.page(1)), "enable_seqscan", "enable_bitmapscan", "enable_sort")

    assert "reservation_by_user" in plan


@on_postgresql
def test_deep_page_uses_index_only_scan(five, monkeypatch):
    monkeypatch.setattr(pagination, "DEEP_PAGE_OFFSET", 1)
    events = CachedCountPaginator(Event.objects.all(), 2)

    plan = plan_of_the_last(lambda: list(events.page(2)), "enable_seqscan", "enable_bitmapscan")

    assert "Index Only Scan using event_by_start_and_end" in plan
