"""Health checks: /healthz for the process, /readyz for the database and its migrations."""

import threading

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from eventmanagement.database import migrations
from eventmanagement.serving import health

FIRST = {"app": "event", "name": "0001_initial"}


@pytest.fixture(autouse=True)
def checked(monkeypatch):
    """The process has not checked the migrations yet. Returns the event that it sets when they are applied."""
    monkeypatch.setattr(health, "migrations_are_applied", threading.Event())
    return health.migrations_are_applied


@pytest.fixture
def applied():
    """The rows of the applied migrations."""
    return MigrationRecorder(connection).migration_qs


def test_healthz_does_not_query_database(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = client.get("/healthz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_readyz_queries_database(client, checked, django_assert_num_queries):
    checked.set()

    with django_assert_num_queries(1):
        response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", ["10.0.0.7:8000", "evil.example", "[::1", "a b", "\xff", ""])
@pytest.mark.parametrize("debug", [True, False])
def test_health_checks_accept_any_host(client, settings, path, host, debug):
    settings.DEBUG = debug

    assert client.get(path, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/healthz/", "//healthz", "/Healthz", "/api/events/", "/api/healthz", "/schema/"]
)
def test_other_paths_check_the_host(client, path):
    assert client.get(path, headers={"host": "evil.example"}).status_code == 400


def test_missing_migration_is_503(client, applied, caplog):
    applied.get(**FIRST).delete()

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json() == {"detail": "Migrations are missing.", "code": "unavailable"}
    assert response["Retry-After"] == "2"
    assert "Missing migrations: 1, such as event.0001_initial" in caplog.messages


def test_database_without_migrations_is_503(client):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_migrations RENAME TO other")

    assert client.get("/readyz").status_code == 503


def test_missing_migrations_are_checked_until_they_are_applied(client, applied):
    applied.get(**FIRST).delete()
    assert client.get("/readyz").status_code == 503

    applied.create(**FIRST)

    assert client.get("/readyz").status_code == 200


def test_applied_migrations_are_not_checked_again(client, applied, django_assert_num_queries):
    client.get("/readyz")
    applied.get(**FIRST).delete()

    with django_assert_num_queries(1):
        assert client.get("/readyz").status_code == 200


def test_migrations_of_a_newer_release_are_ignored(client, applied):
    applied.create(app="event", name="9999_from_a_newer_release")

    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(("replaced", "missing"), [("0002_second", []), ("0003_third", [("event", "0001_squashed")])])
def test_squashed_migration_is_applied_if_all_that_it_replaces_are(applied, monkeypatch, replaced, missing):
    applied.create(app="event", name="0002_second")
    squashed = {("event", "0001_squashed"): {("event", "0001_initial"), ("event", replaced)}}
    monkeypatch.setattr(migrations, "known_migrations", lambda: squashed)

    assert migrations.missing_migrations() == missing


def test_check_for_missing_migrations_is_cheap(client, applied, monkeypatch, django_assert_max_num_queries):
    applied.get(**FIRST).delete()
    client.get("/readyz")
    monkeypatch.setattr(migrations, "MigrationLoader", lambda *args: pytest.fail("The files were read again."))

    # One for the database, one to find the table and one for its rows.
    with django_assert_max_num_queries(3):
        client.get("/readyz")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_are_read_only(path):
    client = Client(enforce_csrf_checks=True)

    assert client.post(path).status_code == 405
    assert client.head(path).status_code == 200
