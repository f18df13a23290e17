"""The errors of the admin panel are pages of the admin panel."""

import pytest
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.test import Client

from eventmanagement.serving.error_pages import FORM_EXPIRED, permission_denied, server_error
from tests.admin import signed_in, staff

SITE = '<a href="/admin/">Event management</a>'


def raise_error(*args, **options):
    raise RuntimeError("a mistake in the code")


@pytest.fixture
def broken(monkeypatch):
    """The event list has an error."""
    monkeypatch.setattr(ModelAdmin, "get_queryset", raise_error)


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/admin/nowhere/", 404, "Not Found"),
        ("/admin/r/x/y/", 404, "Not Found"),
        ("/admin/event/event/add/", 403, "Forbidden"),
        ("/admin/event/event/?_to_field=title", 400, "Bad Request"),
    ],
)
def test_error_is_a_page_of_the_admin(event, path, status, title):
    response = staff("eve", "view_event").get(path)

    assert response.status_code == status
    assert SITE in response.text
    assert f"<h1>{title}</h1>" in response.text
    assert "Log out" in response.text


def test_unknown_path_redirects_to_the_login_without_staff_account(client, bob):
    for visitor in (client, signed_in(bob)):
        response = visitor.get("/admin/nowhere/", follow=True)

        assert response.redirect_chain == [("/admin/login/?next=/admin/nowhere/", 302)]
        assert SITE in response.text


def test_expired_form_is_a_page_of_the_admin(bob):
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "bob"})

    assert response.status_code == 403
    assert SITE in response.text
    assert FORM_EXPIRED.split(",")[0] in response.text


def test_wrong_host_is_a_page_of_the_admin(client):
    response = client.get("/admin/", headers={"host": "elsewhere.example"})

    assert response.status_code == 400
    assert SITE in response.text


def test_server_error_is_a_page_of_the_admin(boss, broken):
    boss.raise_request_exception = False

    response = boss.get("/admin/event/event/")

    assert response.status_code == 500
    assert SITE in response.text
    assert "a mistake in the code" not in response.text


def test_server_error_does_not_query_the_database(rf, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = server_error(rf.get("/admin/"))

    assert SITE in response.text


@pytest.mark.parametrize("path", ["/nowhere/", "/api/nowhere/"])
def test_other_paths_have_no_page_of_the_admin(client, path):
    response = client.get(path)

    assert response.status_code == 404
    assert SITE not in response.text


@pytest.mark.parametrize("status", [403, 500])
def test_errors_on_other_paths_are_djangos(rf, status):
    request = rf.get("/docs/")
    response = server_error(request) if status == 500 else permission_denied(request, PermissionDenied())

    assert response.status_code == status
    assert SITE not in response.text
