"""The admin's searches and lists have the API's limits."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from event.models import Event, EventQuerySet
from tests.admin import delete_selected
from tests.database import slowly
from tests.ledger import book, wait

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such limit")

MODELS = ["event/event", "reservation/reservation", "reservation/waitlistentry", "auth/user"]
LISTS = [f"/admin/{model}/" for model in MODELS]
AUTOCOMPLETE = "/admin/autocomplete/"
SIX, SEVEN = "a b c d e f", "a b c d e f g"


@pytest.fixture
def found(boss, bob, alice, event_of):
    """Search a list for words that occur in every row."""
    event = event_of(alice, title="a b c d e f g", description="x" * 300, capacity=1)
    book(event, bob)
    wait(event, alice)
    User.objects.update(first_name="a b c d e f g", last_name="x" * 150)
    bob.email = "a-b-c-d-e-f-g@example.org"
    bob.save()

    def search(path, words):
        response = boss.get(path, {"q": words})
        return len(response.context["cl"].result_list), [str(message) for message in response.context["messages"]]

    return search


@pytest.mark.parametrize("path", LISTS)
def test_search_of_seven_words_finds_nothing_and_says_why(found, path):
    rows, messages = found(path, SIX)
    assert rows
    assert messages == []

    assert found(path, SEVEN) == (0, ["A search can have at most six words."])


@pytest.mark.parametrize("words", ["x" * 201, '"' + SEVEN + '"'], ids=["long", "quoted"])
def test_search_beyond_other_limits_finds_nothing_and_says_why(found, words):
    rows, messages = found(LISTS[0], words)

    assert rows == 0
    assert len(messages) == 1


@pytest.mark.parametrize(("words", "results"), [(SIX, 1), (SEVEN, 0), ("nul\0", 0)])
def test_autocomplete_has_the_same_limit(boss, found, words, results):
    query = {"app_label": "reservation", "model_name": "reservation", "field_name": "event", "term": words}

    response = boss.get(AUTOCOMPLETE, query)

    assert len(response.json()["results"]) == results


def test_action_on_a_search_of_seven_words_changes_nothing(boss, event, found):
    choice = {"action": "delete_selected", "_selected_action": [event.pk], "post": "yes"}

    boss.post(f"{LISTS[0]}?q={SEVEN}", choice)

    assert Event.objects.filter(pk=event.pk).exists()


@on_postgresql
@pytest.mark.parametrize(
    "query",
    [
        LISTS[0],
        f"{LISTS[0]}?q=concert",
        f"{AUTOCOMPLETE}?app_label=reservation&model_name=reservation&field_name=event&term=concert",
    ],
    ids=["list", "search", "autocomplete"],
)
def test_list_that_takes_too_long_is_unavailable(boss, event, settings, monkeypatch, query):
    settings.READ_TIMEOUT = "10ms"
    monkeypatch.setattr(EventQuerySet, "count", slowly(EventQuerySet.count))

    response = boss.get(query)

    assert response.status_code == 503
    assert response["Retry-After"]


@on_postgresql
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_have_read_timeout(boss, event, settings, monkeypatch, method):
    settings.READ_TIMEOUT = "10ms"
    monkeypatch.setattr(EventQuerySet, "count", slowly(EventQuerySet.count))

    response = boss.generic(method, LISTS[0])

    assert response.status_code == 503


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_page_is_rendered_within_the_limit(boss, event, settings, monkeypatch):
    """date_hierarchy queries the database while rendering. (Within a test's transaction the limit would stay set.)"""
    settings.READ_TIMEOUT = "10ms"
    monkeypatch.setattr(EventQuerySet, "datetimes", slowly(EventQuerySet.datetimes))

    assert boss.get(LISTS[0]).status_code == 503


@on_postgresql
def test_change_is_not_limited(boss, event, settings, monkeypatch):
    settings.READ_TIMEOUT = "10ms"
    monkeypatch.setattr(EventQuerySet, "delete", slowly(EventQuerySet.delete))

    delete_selected(boss, "event_event", [event])

    assert not Event.objects.exists()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="a transaction on SQLite blocks other writers")
@pytest.mark.django_db(transaction=True)
def test_list_on_sqlite_takes_no_transaction(boss, event):
    with CaptureQueriesContext(connection) as queries:
        boss.get(LISTS[0])

    assert "BEGIN" not in {query["sql"].split()[0] for query in queries}
