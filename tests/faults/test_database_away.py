"""Responses while PostgreSQL is down, busy or demoted to a replica, and after it has recovered."""

import json

import psycopg
import pytest
from django.db import connection

from tests.faults.conftest import EVENT, assert_unavailable
from tests.service import running_service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="tests failures of PostgreSQL")

ACCOUNT = {"username": "somebody", "password": "correct horse battery"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    log = tmp_path_factory.mktemp("service") / "log"
    with running_service(log, LOCK_TIMEOUT="300ms") as (service, cluster):
        yield service, cluster, log


def routes(event):
    """Return one request for every route."""
    return [
        ("POST", "/api/authentication/signup/", ACCOUNT),
        ("POST", "/api/authentication/login/", ACCOUNT),
        ("POST", "/api/authentication/logout/", None),
        ("GET", "/api/authentication/me/", None),
        ("PATCH", "/api/authentication/me/", {"email": "alice@example.org"}),
        ("POST", "/api/authentication/password/", {"old_password": "old", "new_password": "new"}),
        ("POST", "/api/authentication/delete-account/", {"password": "old"}),
        ("GET", "/api/event/events/", None),
        ("POST", "/api/event/events/", EVENT),
        ("GET", f"/api/event/events/{event}/", None),
        ("PUT", f"/api/event/events/{event}/", EVENT),
        ("PATCH", f"/api/event/events/{event}/", {"title": "Other"}),
        ("DELETE", f"/api/event/events/{event}/", None),
        ("GET", f"/api/event/events/{event}/total-reservations/", None),
        ("GET", "/api/reservation/reservations/", None),
        ("POST", "/api/reservation/reservations/", {"event_id": event}),
        ("GET", "/api/reservation/reservations/1/", None),
        ("DELETE", "/api/reservation/reservations/1/", None),
        ("GET", "/readyz", None),
    ]


def test_every_route_is_503_until_database_is_back(service, cluster, token, event):
    cluster.stop("immediate")
    try:
        for method, path, body in routes(event):
            assert_unavailable(service.request(method, path, body, token))
        assert service.request("GET", "/healthz").status == 200
    finally:
        cluster.start()

    assert service.request("GET", "/readyz").status == 200
    assert service.request("POST", "/api/reservations/", {"event_id": event}, token).status == 201


def test_connections_survive_a_restart_unseen(service, cluster, token, event):
    for _ in range(4):
        service.request("GET", "/api/events/", None, token)
    cluster.stop()
    cluster.start()

    responses = [service.request("GET", f"/api/events/{event}/", None, token) for _ in range(8)]

    assert {response.status for response in responses} == {200}


def test_lock_timeout_is_503_and_changes_nothing(service, cluster, token, event):
    with psycopg.connect(cluster.url) as session:
        session.execute("SELECT 1 FROM event_event WHERE id = %s FOR UPDATE", [event])

        refused = [
            service.request("POST", "/api/reservations/", {"event_id": event}, token),
            service.request("PATCH", f"/api/events/{event}/", {"capacity": 3}, token),
            service.request("DELETE", f"/api/events/{event}/", None, token),
        ]
        read = service.request("GET", f"/api/events/{event}/")

    for response in refused:
        assert_unavailable(response)
    assert (read.status, read.json["seats_remaining"]) == (200, 5)
    assert service.request("POST", "/api/reservations/", {"event_id": event}, token).status == 201


def test_replica_is_503_for_writes_only(service, cluster, token, event):
    def let_it_be_read_only(value):
        with psycopg.connect(cluster.url, autocommit=True) as session:
            session.execute(f"ALTER ROLE postgres SET default_transaction_read_only = {value}")

    let_it_be_read_only("on")
    # A role's setting only applies to new connections.
    cluster.stop()
    cluster.start()
    try:
        assert_unavailable(service.request("POST", "/api/reservations/", {"event_id": event}, token))
        assert_unavailable(service.request("POST", "/api/signup/", ACCOUNT | {"username": "another"}))
        assert service.request("GET", "/api/events/").status == 200
    finally:
        with psycopg.connect(cluster.url, autocommit=True) as session:
            session.execute("SET default_transaction_read_only = off")
            session.execute("ALTER ROLE postgres RESET default_transaction_read_only")
        cluster.stop()
        cluster.start()

    assert service.request("POST", "/api/reservations/", {"event_id": event}, token).status == 201


def test_server_out_of_connections_is_503(service, cluster, event):
    cluster.stop()
    cluster.start(max_connections="5", superuser_reserved_connections="0")
    sessions = [psycopg.connect(cluster.url) for _ in range(5)]
    try:
        assert_unavailable(service.request("GET", "/api/events/"))
    finally:
        for session in sessions:
            session.close()
        cluster.stop()
        cluster.start()

    assert service.request("GET", "/api/events/").status == 200


def test_faults_are_logged_with_their_request(service, running, event):
    service.request("GET", "/api/events/")

    lines = [json.loads(line) for line in running[2].read_text().splitlines() if line.startswith("{")]
    faults = {line["request_id"] for line in lines if ": unavailable: " in line["message"]}
    refused = {line["request_id"] for line in lines if line.get("status") == 503}
    assert faults == refused
