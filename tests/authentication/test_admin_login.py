import pytest
from django.contrib.auth.models import User

from eventmanagement.environment import rate
from tests.admin import staff as staff_client

LOGIN = "/admin/login/"


@pytest.fixture
def staff(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_superuser("root", password="correct horse battery")


def log_in(client, password):
    return client.post(LOGIN, {"username": "root", "password": password})


def test_staff_logs_in(client, staff):
    response = log_in(client, "correct horse battery")

    assert response.status_code == 302
    session = response.cookies["sessionid"]
    assert session["secure"]
    assert session["httponly"]
    assert session["samesite"] == "Lax"


def test_wrong_password_is_refused(client, staff):
    response = log_in(client, "wrong")

    assert "Please enter the correct username and password" in response.content.decode()


def test_non_staff_is_refused(client, bob):
    bob.set_password("correct horse battery")
    bob.save()

    response = client.post(LOGIN, {"username": "bob", "password": "correct horse battery"})

    assert "sessionid" not in response.cookies


@pytest.mark.parametrize(("limit", "username"), [("THROTTLE_LOGIN", "root"), ("THROTTLE_LOGIN_ADDRESS", "somebody")])
def test_limits_are_those_of_the_api(client, api, routes, staff, settings, limit, username):
    setattr(settings, limit, rate("2/hour"))
    log_in(client, "wrong")
    api.post(routes.login, {"username": username, "password": "wrong"})

    response = log_in(client, "correct horse battery")

    assert response.status_code == 200
    assert "Request was throttled" in response.content.decode()
    assert "sessionid" not in response.cookies


def test_tokens_are_not_shown(admin_client):
    assert admin_client.get("/admin/authtoken/tokenproxy/").status_code == 404


def test_viewer_does_not_see_the_button_that_changes_a_password(admin_client, bob):
    page = f"/admin/auth/user/{bob.pk}/change/"
    viewer = staff_client("eve", "view_user")

    assert "../password/" in admin_client.get(page).text
    assert "../password/" not in viewer.get(page).text
    assert viewer.get(f"/admin/auth/user/{bob.pk}/password/").status_code == 403
