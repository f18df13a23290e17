"""A PostgreSQL server that says nothing, or that reports a commit it can't vouch for."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection

from tests.faults.conftest import assert_unavailable
from tests.service import running_service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="tests failures of PostgreSQL")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    log = tmp_path_factory.mktemp("service") / "log"
    with running_service(log, STATEMENT_TIMEOUT="1s", DATABASE_WAIT="2s", WEB_CONCURRENCY="1") as (service, cluster):
        yield service, cluster


@pytest.fixture
def administrator(cluster):
    """A session whose own commits wait for no standby."""
    with psycopg.connect(cluster.url, autocommit=True) as session:
        session.execute("SET synchronous_commit = local")
        yield session


@pytest.fixture
def without_standby(administrator):
    """Make commits wait for a synchronous standby that is not there."""

    def require(names):
        administrator.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        administrator.execute("SELECT pg_reload_conf()")

    require("nobody")
    yield
    require("")


def booked(administrator, event):
    [seats] = administrator.execute("SELECT capacity - seats_remaining FROM event_event WHERE id = %s", [event])
    [rows] = administrator.execute("SELECT count(*) FROM reservation_reservation WHERE event_id = %s", [event])
    assert seats == rows
    return rows[0]


def test_frozen_server_is_503_and_heals(service, cluster, token, event):
    requests = [
        ("GET", "/readyz", None),
        ("GET", f"/api/events/{event}/", None),
        ("GET", "/api/events/", None),
        ("POST", "/api/reservations/", {"event_id": event}),
        ("PATCH", f"/api/events/{event}/", {"title": "Other"}),
    ]
    for method, path, body in requests[:3]:
        assert service.request(method, path, body, token).status == 200

    cluster.freeze()
    try:
        with ThreadPoolExecutor(20) as threads:
            responses = list(threads.map(lambda each: service.request(*each, token), requests * 4))
        assert service.request("GET", "/healthz").status == 200
    finally:
        cluster.thaw()

    for response in responses:
        assert_unavailable(response)
    assert service.request("GET", "/readyz").status == 200
    # A booking may have happened before the freeze, or not.
    assert service.request("POST", "/api/reservations/", {"event_id": event}, token).status in (201, 400)
    assert service.request("GET", f"/api/events/{event}/").json["seats_remaining"] == 4


def test_commit_that_waits_for_a_lost_standby_is_503(service, token, event, without_standby):
    response = service.request("POST", "/api/reservations/", {"event_id": event}, token)

    assert_unavailable(response)
    assert service.request("GET", "/readyz").status == 200


@pytest.mark.parametrize("write", ["booking", "edit"])
def test_commit_cancelled_in_its_wait_is_not_acknowledged(service, token, event, administrator, without_standby, write):
    """PostgreSQL commits it on this server only, and reports success."""
    sent = {
        "booking": ("POST", "/api/reservations/", {"event_id": event}),
        "edit": ("PATCH", f"/api/events/{event}/", {"title": "Other"}),
    }[write]

    with ThreadPoolExecutor(1) as thread:
        response = thread.submit(service.request, *sent, token)
        while not response.done():
            administrator.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")

    assert_unavailable(response.result())
    assert booked(administrator, event) == (write == "booking")
    [title] = administrator.execute("SELECT title FROM event_event WHERE id = %s", [event]).fetchone()
    assert title == ("Other" if write == "edit" else "Concert")
