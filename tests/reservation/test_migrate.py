"""Two ``migrate`` commands at the same time."""

import io
import threading

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction

from reservation.management.commands.migrate import LOCK, one_at_a_time
from tests.races import RACE_TIMEOUT, wait_for_blocked_session

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no advisory locks"),
    pytest.mark.django_db(transaction=True),
]


def test_second_migrate_waits_for_the_first():
    def migrate():
        call_command("migrate", verbosity=0, stdout=output)
        finished.set()
        connections.close_all()

    output = io.StringIO()
    finished = threading.Event()
    second = threading.Thread(target=migrate)
    with transaction.atomic(), connection.cursor() as cursor:
        # The first command takes this lock.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        second.start()
        wait_for_blocked_session()
        was_finished = finished.is_set()
    second.join(RACE_TIMEOUT)

    assert not was_finished
    assert finished.is_set()
    assert output.getvalue() == "Waiting for another migrate to finish...\n"


def test_lock_takes_no_connection_of_the_pool(monkeypatch):
    connection.close()
    pool = {"max_size": 1, "timeout": 0.01, "max_idle": 60}
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", pool)
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    try:
        with one_at_a_time("default", lambda: None), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()
        connection.close_pool()


def test_lock_is_released():
    waits = []
    with one_at_a_time("default", lambda: waits.append(1)):
        pass

    assert waits == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        assert cursor.fetchone() == (True,)
        cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
