"""The migrations that give a uid to the events of a live database."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from event.models import Event
from tests.database import sql_of
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session

migration = import_module("event.migrations.0013_fill_uids")
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs one transaction at a time")


def fill():
    migration.fill_uids(apps, SimpleNamespace(connection=connection))


@pytest.fixture
def old_events(alice, event_of, monkeypatch):
    """Five events from before the column, which are filled in batches of two."""
    monkeypatch.setattr(migration, "BATCH_SIZE", 2)
    events = [event_of(alice) for _ in range(5)]
    Event.objects.update(uid=None)
    return events


def test_each_old_event_gets_another_uid(old_events):
    fill()

    uids = set(Event.objects.values_list("uid", flat=True))
    assert len(uids) == 5
    assert None not in uids


def test_other_uids_stay(old_events, alice, event_of):
    new = event_of(alice)

    fill()

    assert Event.objects.get(pk=new.pk).uid == new.uid


def test_statements_are_bounded(old_events):
    with CaptureQueriesContext(connection) as statements:
        fill()

    updates = [query["sql"] for query in statements if query["sql"].startswith("UPDATE")]
    assert len(updates) == 3


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_one_batch_is_locked_at_a_time(old_events):
    """The last event is locked. Meanwhile the others are filled, and none of them is locked."""
    *others, last = [event.pk for event in old_events]
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            Event.objects.filter(pk=last).lock()
            filled = thread.submit(race, [fill])
            wait_for_blocked_session()

            unlocked = Event.objects.filter(pk__in=others, uid__isnull=False).select_for_update(nowait=True)
            assert {event.pk for event in unlocked} == {*others}
        assert filled.result(RACE_TIMEOUT) == [None]

    assert not Event.objects.filter(uid=None).exists()


def test_batches_are_not_in_one_transaction():
    assert migration.Migration.atomic is False


@on_postgresql
def test_column_is_added_without_a_value_for_each_row():
    sql = sql_of("0012")

    assert 'ADD COLUMN "uid" uuid NULL;' in sql
    assert 'ALTER COLUMN "uid" SET DEFAULT (GEN_RANDOM_UUID())' in sql
    assert 'UPDATE "event_event"' not in sql


@on_postgresql
def test_previous_release_inserts_events_with_a_uid(event):
    """It does not know the column, so the default of the database fills it."""
    columns = [field.column for field in Event._meta.concrete_fields if field.name not in ("id", "uid", "revision")]
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO event_event ({names}) SELECT {names} FROM event_event RETURNING uid, revision")
        [(uid, revision)] = cursor.fetchall()

    assert uid not in (None, event.uid)
    assert revision == 0
