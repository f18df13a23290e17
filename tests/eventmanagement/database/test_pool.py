"""The pool of connections to PostgreSQL, and the connection's bounded waits."""

import threading
from collections import deque

import psycopg
import pytest
from django.db import OperationalError, connection
from psycopg.errors import _WaitTimeout

from eventmanagement.database import readiness
from eventmanagement.database.errors import is_unavailable, lift_time_limit, without_timeouts
from tests.races import RACE_TIMEOUT

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="tests the PostgreSQL backend"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def opened():
    """The connections that the pool has opened."""
    return []


@pytest.fixture
def pool(opened):
    """A pool of two connections. It waits 10 ms for a free one."""
    from eventmanagement.database.postgresql.connection import Connection
    from eventmanagement.database.postgresql.pool import Pool

    def connect():
        opened.append(Connection.connect(**connection.get_connection_params(), autocommit=True))
        return opened[-1]

    yield Pool(connect, max_size=2, timeout=0.01, max_idle=60)
    for each in opened:
        each.close()


def test_connection_is_used_again(pool, opened):
    first = pool.getconn()
    pool.putconn(first)

    assert pool.getconn() is first
    assert opened == [first]


def test_connection_used_last_is_used_next(pool):
    first, second = pool.getconn(), pool.getconn()
    pool.putconn(second)
    pool.putconn(first)

    assert pool.getconn() is first


def test_full_pool_is_unavailable(pool, opened):
    pool.getconn()
    pool.getconn()

    with pytest.raises(psycopg.OperationalError):
        pool.getconn()
    assert len(opened) == 2


def test_returned_connection_frees_its_slot(pool):
    first = pool.getconn()
    pool.getconn()
    pool.putconn(first)

    assert pool.getconn() is first


def test_waiting_thread_gets_the_returned_connection(pool, monkeypatch):
    first = pool.getconn()
    pool.getconn()
    monkeypatch.setattr(pool, "_timeout", RACE_TIMEOUT)
    got = []
    waiting = threading.Thread(target=lambda: got.append(pool.getconn()))
    waiting.start()
    pool.putconn(first)
    waiting.join(RACE_TIMEOUT)

    assert got == [first]


@pytest.mark.parametrize("state", ["closed", "in a transaction"])
def test_connection_that_is_not_idle_is_closed(pool, state):
    broken = pool.getconn()
    if state == "closed":
        broken.close()
    else:
        broken.execute("BEGIN")
    pool.putconn(broken)

    assert pool.getconn() is not broken
    assert broken.closed


def test_connections_that_the_server_closed_are_replaced_at_once(pool, opened):
    both = pool.getconn(), pool.getconn()
    for each in both:
        pool.putconn(each)
    with connection.cursor() as administrator:
        for each in both:
            administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [each.info.backend_pid])

    assert pool.getconn().execute("SELECT 1").fetchone() == (1,)
    assert len(opened) == 3


def test_failed_attempt_to_connect_frees_its_slot(pool, monkeypatch):
    def fail():
        raise psycopg.OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(pool, "_connect", fail)
        for _ in range(3):
            with pytest.raises(psycopg.OperationalError, match="refused"):
                pool.getconn()

    assert pool.getconn()
    assert pool.getconn()


def test_connection_idle_for_too_long_is_closed(pool, monkeypatch):
    first, second = pool.getconn(), pool.getconn()
    pool.putconn(first)
    monkeypatch.setattr(pool, "_max_idle", -1)
    pool.putconn(second)

    assert first.closed


class Contested(deque):
    """A deque of which another thread takes all items after each look at it."""

    def __bool__(self):
        found = len(self) > 0
        self.clear()
        return found

    def __getitem__(self, index):
        found = super().__getitem__(index)
        self.clear()
        return found


def test_connection_that_another_thread_takes_is_not_closed(pool, monkeypatch):
    first = pool.getconn()
    monkeypatch.setattr(pool, "_idle", Contested([(first, 0)]))
    pool.close()

    assert not first.closed


def test_closing_the_pool_closes_idle_connections(pool):
    first, second = pool.getconn(), pool.getconn()
    pool.putconn(first)
    pool.close()

    assert first.closed
    assert not second.closed


@pytest.fixture
def pooled():
    """A connection of Django that uses a pool."""
    own = connection.copy()
    own.alias = "pooled"
    own.settings_dict["OPTIONS"]["pool"] = {"max_size": 1, "timeout": 0.01, "max_idle": 60}
    own.settings_dict["CONN_MAX_AGE"] = 0
    yield own
    own.close()
    own.close_pool()


def test_django_gives_its_connection_back_after_a_request(pooled):
    pooled.ensure_connection()
    first = pooled.connection
    pooled.close_if_unusable_or_obsolete()

    assert pooled.connection is None
    pooled.ensure_connection()
    assert pooled.connection is first


def test_full_pool_is_an_unavailable_database(pooled):
    pooled.ensure_connection()
    other = pooled.copy()
    other.alias = pooled.alias

    with pytest.raises(OperationalError) as full:
        other.ensure_connection()
    assert is_unavailable(full.value)


def test_readiness_connection_has_its_limit_from_the_beginning(pooled, monkeypatch):
    """Also while it sets the limits behind PgBouncer, and after it has connected again by itself."""
    from eventmanagement.database.postgresql import base

    waits = []
    monkeypatch.setattr(base, "set_limits", lambda opened, limits: waits.append(opened.wait_timeout))
    monkeypatch.setattr(readiness, "connection", pooled)
    monkeypatch.setattr(readiness, "_of_thread", threading.local())
    pooled.settings_dict["SESSION_LIMITS"] = {"lock_timeout": 3000}
    pooled.ensure_connection()
    waits.clear()

    own = readiness.readiness_connection()
    try:
        own.ensure_connection()
        readiness.readiness_connection()
        own.connection.close()
        with own.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert own.connection.wait_timeout == readiness.READINESS_WAIT
    finally:
        own.close()

    assert waits == [readiness.READINESS_WAIT] * 2


def test_readiness_check_closes_idle_connections(pooled, monkeypatch):
    monkeypatch.setattr(readiness, "connection", pooled)
    monkeypatch.setattr(readiness, "_of_thread", threading.local())
    pooled.ensure_connection()
    used = pooled.connection
    pooled.close()
    monkeypatch.setattr(pooled.pool, "_max_idle", -1)

    readiness.readiness_connection().close()

    assert used.closed


def test_wait_for_the_server_is_bounded():
    connection.ensure_connection()
    connection.connection.wait_timeout = 0.01
    pid = connection.connection.info.backend_pid

    with pytest.raises(OperationalError, match="did not respond") as silent, connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")

    assert is_unavailable(silent.value)
    assert connection.connection.closed
    connection.close()
    with connection.cursor() as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_psycopg_handles_its_own_timeouts():
    connection.ensure_connection()

    with pytest.raises(_WaitTimeout):
        connection.connection.wait(_endless(), timeout=0.01)
    assert not connection.connection.closed


def _endless():
    from psycopg.waiting import WAIT_R

    while True:
        yield WAIT_R


def test_migration_waits_without_a_limit():
    with connection.schema_editor() as editor:
        lift_time_limit(None, editor)

        assert connection.connection.wait_timeout is None
    connection.close()


def test_management_command_has_no_time_limits():
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '10ms'")
        with without_timeouts():
            inside = connection.connection.wait_timeout
            cursor.execute("SELECT pg_sleep(0.02), current_setting('idle_in_transaction_session_timeout')")
            assert cursor.fetchone()[1] == "0"
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("10ms",)

    assert inside is None
    assert connection.connection.wait_timeout == 17
    connection.close()
