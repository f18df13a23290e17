"""A primary with a synchronous standby: no acknowledged write is lost when the standby takes over."""

from contextlib import ExitStack
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection

from tests.driver import Driver
from tests.faults.conftest import EVENT, assert_unavailable
from tests.postgres import Cluster
from tests.service import Service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="tests failures of PostgreSQL")

CLIENTS = 6


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


@pytest.fixture
def driver(service):
    event = service.request("POST", "/api/events/", EVENT | {"capacity": 5000}, service.sign_in("alice")).json["id"]
    return Driver(service, event, service.sign_in_crowd(1200), CLIENTS)


def test_killed_primary_loses_no_acknowledged_write(pair, driver, service):
    primary, standby = pair
    with driver:
        driver.wait_for(30)
        primary.stop("immediate")
        standby.promote()
        driver.wait_for(30)

    assert driver.lost(standby.url) == {}
    assert set(driver.statuses) <= {201, 204, 503}
    assert service.request("GET", "/readyz").status == 200


def test_frozen_standby_stops_writes_but_not_reads(pair, driver, service):
    primary, standby = pair
    token = service.sign_in("bob")
    with driver:
        driver.wait_for(10)
        standby.freeze()
        ready = service.request("GET", "/readyz").status
        read = service.request("GET", f"/api/events/{driver.event}/").status
        write = service.request("POST", "/api/events/", EVENT, token)
        standby.thaw()
        driver.wait_for(10)

    assert (ready, read) == (200, 200)
    assert_unavailable(write)
    assert set(driver.statuses) <= {201, 204, 503}
    assert driver.lost(primary.url) == {}
