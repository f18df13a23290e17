"""PgBouncer in transaction mode between the service and PostgreSQL."""

import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests.faults.conftest import EVENT, assert_unavailable
from tests.hostile.test_downloads import INSERT_ATTENDEES
from tests.postgres import Cluster
from tests.service import TIMEOUT, Service

OLDEST = (1, 22)


def version():
    """Return PgBouncer's version, or (0, 0) if it is not installed."""
    if not shutil.which("pgbouncer"):
        return 0, 0
    told = subprocess.run(["pgbouncer", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.search(r"PgBouncer (\d+)\.(\d+)", told).groups()))


pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="needs PostgreSQL"),
    pytest.mark.skipif(version() < OLDEST, reason="needs PgBouncer 1.22 or newer"),
]


@contextmanager
def pgbouncer(cluster, **options):
    """Run PgBouncer with deploy/pgbouncer.ini in front of a cluster. Yields the URL of its database.

    PgBouncer has a different name for that database than the cluster.
    """
    home = cluster.directory / "pgbouncer"
    home.mkdir()
    (home / "users").write_text('"postgres" ""\n')
    changes = {"listen_addr": "", "unix_socket_dir": home, "auth_type": "trust", "auth_file": home / "users"} | options
    server = f"host={cluster.directory} user=postgres"
    changes["*"] = f"{server}\nevents = {server} dbname=postgres"
    text = (settings.BASE_DIR / "deploy" / "pgbouncer.ini").read_text()
    for name, value in changes.items():
        text, found = re.subn(rf"^{re.escape(name)} =.*$", f"{name} = {value}", text, flags=re.M)
        assert found == 1, name
    (home / "ini").write_text(text)
    if cluster.account:
        for path in (home, *home.iterdir()):
            shutil.chown(path, cluster.account["user"], cluster.account["group"])
    with (home / "log").open("w") as log:
        process = subprocess.Popen(["pgbouncer", home / "ini"], stdout=log, stderr=log, **cluster.account)
    url = f"postgres://postgres@{quote(str(home), safe='')}:6432/events"
    try:
        deadline = time.monotonic() + TIMEOUT
        while True:
            with suppress(psycopg.OperationalError):
                psycopg.connect(url).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((home / "log").read_text())
            time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module", params=[{}, {"max_prepared_statements": 0}], ids=["prepares", "does not prepare"])
def running(request, tmp_path_factory):
    """The service behind a PgBouncer that has only three server connections."""
    with ExitStack() as stack:
        cluster = Cluster()
        stack.callback(cluster.remove)
        cluster.start()
        url = stack.enter_context(pgbouncer(cluster, default_pool_size=3, **request.param))
        log = tmp_path_factory.mktemp("service") / "log"
        service = Service(cluster, log, DATABASE_URL=url, DATABASE_POOLED="true", LOCK_TIMEOUT="300ms")
        stack.callback(service.stop)
        yield service, cluster, url


@pytest.fixture
def administrator(running):
    """A session that bypasses PgBouncer."""
    with psycopg.connect(running[1].url, autocommit=True) as session:
        yield session


def test_book_search_and_cancel(service, token, event):
    booked = service.request("POST", "/api/reservations/", {"event_id": event}, token)
    again = service.request("POST", "/api/reservations/", {"event_id": event}, token)
    listed = service.request("GET", "/api/reservations/?page=1", None, token)
    found = service.request("GET", "/api/events/?search=concert&ordering=-capacity")
    cancelled = service.request("DELETE", f"/api/reservations/{booked.json['id']}/", None, token)

    assert booked.status == 201
    assert (again.status, again.json["code"]) == (400, "already_reserved")
    assert listed.json["results"][0]["id"] == booked.json["id"]
    assert found.status == 200
    assert cancelled.status == 204
    assert service.request("GET", "/readyz").status == 200


def test_downloads_are_whole(service, administrator, token):
    """Each download reads in several steps, and must stay on one server connection for all of them."""
    event = service.request("POST", "/api/events/", EVENT, token).json["id"]
    administrator.execute(INSERT_ATTENDEES, {"count": 2500, "event": event})

    with ThreadPoolExecutor(6) as clients:
        path = f"/api/events/{event}/reservations/?format=csv"
        responses = list(clients.map(lambda _: service.request("GET", path, None, token), range(12)))

    assert {response.status for response in responses} == {200}
    assert {len(response.text.splitlines()) for response in responses} == {2501}


def test_every_session_has_the_limits(running, service):
    """As many open transactions as PgBouncer has server connections, so that each server connection is checked."""
    service.request("GET", "/api/events/")
    sessions = [psycopg.connect(running[2]) for _ in range(3)]
    try:
        limits = {
            tuple(
                session.execute(f"SHOW {name}").fetchone()[0]
                for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
            )
            for session in sessions
        }
    finally:
        for session in sessions:
            session.close()

    assert limits == {("300ms", "15s", "15s")}


def test_last_seats_are_sold_once(service, token):
    event = service.request("POST", "/api/events/", EVENT, token).json["id"]
    crowd = service.sign_in_crowd(20)

    with ThreadPoolExecutor(20) as threads:
        # Each user books twice.
        responses = list(
            threads.map(
                lambda key: service.request("POST", "/api/reservations/", {"event_id": event}, key).status, crowd * 2
            )
        )

    assert sorted(responses) == [201] * 5 + [400] * 35
    assert service.request("GET", f"/api/events/{event}/").json["seats_remaining"] == 0


def test_locked_event_is_503(service, administrator, token, event):
    with administrator.transaction():
        administrator.execute("SELECT 1 FROM event_event WHERE id = %s FOR UPDATE", [event])

        refused = [
            service.request("POST", "/api/reservations/", {"event_id": event}, token),
            service.request("PATCH", f"/api/events/{event}/", {"capacity": 3}, token),
        ]

    for response in refused:
        assert_unavailable(response)
    assert service.request("POST", "/api/reservations/", {"event_id": event}, token).status == 201


def test_seats_are_checked_under_load(service, token):
    event = service.request("POST", "/api/events/", EVENT | {"capacity": 500}, token).json["id"]
    crowd = service.sign_in_crowd(60)

    with ThreadPoolExecutor(8) as threads:
        booking = [
            threads.submit(service.request, "POST", "/api/reservations/", {"event_id": event}, key) for key in crowd
        ]
        # Raises an exception if an event's seats do not match its reservations.
        for _ in range(2):
            service.manage("check_seats")

    assert {each.result().status for each in booking} == {201}


def test_booking_survives_a_changed_column_type(service, administrator, token):
    """PostgreSQL rejects the prepared statements whose result has the changed column."""
    crowd = service.sign_in_crowd(12)
    event = service.request("POST", "/api/events/", EVENT | {"capacity": 50}, token).json["id"]
    book = [("POST", "/api/reservations/", {"event_id": event}, key) for key in crowd]
    before = [service.request(*each).status for each in book[:4]]
    administrator.execute("ALTER TABLE event_event ALTER COLUMN title TYPE varchar(300)")
    try:
        after = [service.request(*each).status for each in book[4:]]
    finally:
        administrator.execute("ALTER TABLE event_event ALTER COLUMN title TYPE varchar(200)")

    assert before + after == [201] * 12
