"""A PostgreSQL server that sends nothing, or that reports a commit without its synchronous standby."""

import http.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlencode

import psycopg
import pytest
from django.db import connection

from tests.faults.conftest import assert_unavailable
from tests.service import TIMEOUT, running_service

SIGN_IN = """
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser("boss"))
print(settings.CSRF_COOKIE_NAME, settings.SESSION_COOKIE_NAME, client.cookies[settings.SESSION_COOKIE_NAME].value)
"""

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
    """Make commits wait for a synchronous standby that does not exist."""

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


def test_frozen_server_is_503_until_it_is_thawed(service, cluster, token, event):
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
    # Bookings sent during the freeze may have happened after it.
    assert service.request("POST", "/api/reservations/", {"event_id": event}, token).status in (201, 400)
    assert service.request("GET", f"/api/events/{event}/").json["seats_remaining"] == 4


def test_commit_that_waits_for_a_lost_standby_is_503(service, token, event, without_standby):
    response = service.request("POST", "/api/reservations/", {"event_id": event}, token)

    assert_unavailable(response)
    assert service.request("GET", "/readyz").status == 200


@pytest.mark.parametrize("write", ["booking", "edit"])
def test_commit_with_a_cancelled_wait_is_not_acknowledged(service, token, event, administrator, without_standby, write):
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


def test_deletion_cancelled_in_its_wait_is_not_denied(service, token, event, administrator, request):
    """The admin must not say that nothing has been changed."""
    booked_id = service.request("POST", "/api/reservations/", {"event_id": event}, token).json["id"]
    csrf, session, key = service.manage("shell", "--verbosity=0", "--command", SIGN_IN).split()
    form = {"action": "delete_selected", "index": 0, "_selected_action": booked_id, "post": "yes"}
    secret = "x" * 32
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"{csrf}={secret}; {session}={key}",
        "X-CSRFToken": secret,
    }
    request.getfixturevalue("without_standby")

    def delete():
        with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=TIMEOUT)) as wire:
            wire.request("POST", "/admin/reservation/reservation/", urlencode(form), headers)
            return wire.getresponse().status

    with ThreadPoolExecutor(1) as thread:
        response = thread.submit(delete)
        while not response.done():
            administrator.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")

    assert response.result() == 503
    assert booked(administrator, event) == 0
