"""A primary with a synchronous standby: nothing that was acknowledged is lost when the standby takes over."""

import threading
from contextlib import ExitStack, suppress
from http.client import HTTPException
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection

from tests.faults.test_database_away import EVENT
from tests.postgres import Cluster
from tests.service import TIMEOUT, Service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="tests failures of PostgreSQL")

CLIENTS = 6
# Bookings that each client tries, at most.
BOOKINGS = 200


@pytest.fixture
def pair():
    """A primary and its synchronous standby."""
    with ExitStack() as stack:
        primary = Cluster()
        stack.callback(primary.remove)
        primary.start()
        standby = Cluster(primary)
        stack.callback(standby.remove)
        standby.start()
        yield primary, standby


@pytest.fixture
def service(pair, tmp_path):
    """The service with both servers in its URL. It uses the one that accepts writes."""
    primary = pair[0]
    hosts = ",".join(quote(str(each.directory), safe="") for each in pair)
    url = f"postgres://postgres@/postgres?host={hosts}&port=5432,5432&target_session_attrs=read-write"
    limits = {"STATEMENT_TIMEOUT": "2s", "DATABASE_WAIT": "3s", "WEB_CONCURRENCY": "2"}
    service = Service(primary, tmp_path / "log", DATABASE_URL=url, **limits)
    with psycopg.connect(primary.url, autocommit=True) as session:
        session.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        session.execute("SELECT pg_reload_conf()")
    yield service
    service.stop()


class Driver:
    """Clients that book and cancel, and that remember what was acknowledged."""

    def __init__(self, service, event, tokens):
        self.service = service
        self.event = event
        self.tokens = tokens
        # The last acknowledged state of each user: the reservation's id, or None. Unknown states are left out.
        self.known = {}
        self.acknowledged = 0
        self.moved = threading.Condition()
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(tokens[n::CLIENTS],)) for n in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def wait_for(self, more):
        """Wait until this many more writes have been acknowledged."""
        with self.moved:
            goal = self.acknowledged + more
            assert self.moved.wait_for(lambda: self.acknowledged >= goal, TIMEOUT), "nothing is acknowledged any more"

    def _run(self, tokens):
        for token in tokens[:BOOKINGS]:
            if self.is_over.is_set():
                return
            reservation = self._write(token, "POST", "/api/reservations/", {"event_id": self.event})
            if reservation and reservation % 3 == 0:
                self._write(token, "DELETE", f"/api/reservations/{reservation}/")

    def _write(self, token, method, path, body=None):
        self.known.pop(token, None)
        with suppress(OSError, HTTPException):
            response = self.service.request(method, path, body, token)
            assert response.status in (201, 204, 503), response
            if response.status != 503:
                self.known[token] = response.json["id"] if method == "POST" else None
                with self.moved:
                    self.acknowledged += 1
                    self.moved.notify_all()
                return self.known[token]
        return None


def assert_nothing_is_lost(driver, server):
    """Compare what was acknowledged with the database that is left."""
    with psycopg.connect(server.url) as session:
        rows = session.execute(
            "SELECT key, id FROM reservation_reservation JOIN authtoken_token USING (user_id) WHERE event_id = %s",
            [driver.event],
        )
        held = dict(rows.fetchall())
        query = "SELECT capacity - seats_remaining FROM event_event WHERE id = %s"
        assert session.execute(query, [driver.event]).fetchone() == (len(held),)
    lost = {token: state for token, state in driver.known.items() if held.get(token) != state}
    assert lost == {}


@pytest.fixture
def driver(service):
    event = service.request("POST", "/api/events/", EVENT | {"capacity": 5000}, service.sign_in("alice")).json["id"]
    return Driver(service, event, service.sign_in_crowd(CLIENTS * BOOKINGS))


def test_killed_primary_loses_nothing(pair, driver, service):
    primary, standby = pair
    with driver:
        driver.wait_for(30)
        primary.stop("immediate")
        standby.promote()
        driver.wait_for(30)

    assert_nothing_is_lost(driver, standby)
    assert service.request("GET", "/readyz").status == 200


def test_lost_standby_stops_writes_but_not_reads(pair, driver, service):
    primary, standby = pair
    with driver:
        driver.wait_for(10)
        standby.freeze()
        ready = service.request("GET", "/readyz").status
        read = service.request("GET", f"/api/events/{driver.event}/").status
        standby.thaw()
        driver.wait_for(10)

    assert (ready, read) == (200, 200)
    assert_nothing_is_lost(driver, primary)
