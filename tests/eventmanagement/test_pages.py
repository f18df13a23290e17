from contextlib import closing

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext


def test_root_leads_to_swagger(client):
    response = client.get("/", follow=True)

    assert response.redirect_chain == [("/docs/swagger/", 302)]
    assert response.status_code == 200


def test_swagger_loads_only_own_assets(client):
    page = client.get("/docs/swagger/").content.decode()

    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in page
    assert "https://" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js",
        "/static/admin/css/base.css",
    ],
)
def test_assets_are_served_here(client, path):
    with closing(client.get(path)) as response:
        assert response.status_code == 200


def test_document_has_only_long_paths(client):
    paths = client.get("/schema/", headers={"accept": "application/json"}).json()["paths"]

    assert set(paths) == {
        "/api/authentication/signup/",
        "/api/authentication/login/",
        "/api/authentication/logout/",
        "/api/authentication/me/",
        "/api/authentication/password/",
        "/api/authentication/delete-account/",
        "/api/event/events/",
        "/api/event/events/{id}/",
        "/api/event/events/{event_id}/total-reservations/",
        "/api/event/events/{event_id}/calendar.ics",
        "/api/reservation/reservations/",
        "/api/reservation/reservations/{id}/",
        "/api/event/events/{id}/cancel/",
        "/api/event/events/{event_id}/total-reservations/{reservation_id}/",
        "/api/event/events/{event_id}/check-in/",
        "/api/event/events/{event_id}/check-in/{reservation_id}/",
        "/api/event/events/{event_id}/waitlist/",
        "/api/reservation/waitlist/",
        "/api/reservation/waitlist/{id}/",
        "/api/reservation/calendar/",
        "/api/reservation/calendar/{key}.ics",
    }


def test_admin_requires_login(client):
    response = client.get("/admin/", follow=True)

    assert response.redirect_chain == [("/admin/login/?next=/admin/", 302)]
    assert response.status_code == 200


def test_no_script_reads_the_admins_cookies(client, admin_user):
    client.post("/admin/login/", {"username": "admin", "password": "password"})

    assert {name: cookie["httponly"] for name, cookie in client.cookies.items()} == {
        "csrftoken": True,
        "sessionid": True,
    }


@pytest.mark.parametrize("rows", ["event/event", "reservation/reservation"])
def test_admin_counts_a_list_once(admin_client, rows):
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(f"/admin/{rows}/")

    assert sum("COUNT(*)" in query["sql"] for query in queries) == 1


def test_answers_carry_security_headers(client, event):
    response = client.get("/api/event/events/")

    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/schema/", "/docs/swagger/"])
def test_documents_are_read_only(client, path):
    assert client.options(path).status_code == 405
    assert client.post(path).status_code == 405


@pytest.mark.parametrize("path", ["/schema/", "/docs/swagger/"])
def test_documents_need_no_csrf_token(path):
    assert Client(enforce_csrf_checks=True).post(path).status_code == 405


def test_version_parameter_is_ignored(client):
    response = client.get("/schema/", {"version": "2\0"})

    assert response.status_code == 200
    assert response["Content-Disposition"] == 'inline; filename="Event management.yaml"'


def test_api_touches_neither_sessions_nor_forms_nor_messages(as_user, bob, routes, event):
    response = as_user(bob).post(routes.reservations, {"event_id": event.pk})

    assert response.status_code == 201
    for attribute in ("session", "_messages", "csrf_processing_done"):
        assert not hasattr(response.wsgi_request, attribute)
    assert not response.cookies
