"""Input that is too long is rejected by its length, before any expensive operation."""

import unicodedata

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.models import User
from django.core.validators import EmailValidator
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.authtoken.models import Token

from authentication import tokens
from authentication.hashers import ScryptPasswordHasher
from tests.admin import signed_in, superuser
from tests.conftest import LONG

DAVE = {"username": "dave", "password": "correct horse battery"}
# Combining marks in non-canonical order, which take quadratic time to normalize.
MARKS = "a" + "\u0301\u0327" * 10_000
# 51 ligatures, which NFKC expands to 153 letters.
LIGATURES = "\ufb03" * 51
LONG_PASSWORD = "x" * 10_000


@pytest.fixture(autouse=True)
def unlimited(settings):
    """Disable the rate limits, whose queries would hide the others."""
    settings.THROTTLE_SIGNUP = None


@pytest.fixture
def calls(monkeypatch):
    """Collect the calls of expensive functions."""
    made = []

    def watch(place, name):
        original = getattr(place, name)

        def call(*args, **kwargs):
            made.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(place, name, call)

    watch(unicodedata, "normalize")
    watch(hashers, "get_hasher")
    watch(EmailValidator, "__call__")
    return made


@pytest.fixture
def hashed(monkeypatch):
    """Collect the passwords that are hashed."""
    passwords = []
    encode = ScryptPasswordHasher.encode

    def watch(hasher, password, *args):
        passwords.append(password)
        return encode(hasher, password, *args)

    monkeypatch.setattr(ScryptPasswordHasher, "encode", watch)
    return passwords


@pytest.mark.parametrize("route", [LONG.signup, LONG.login])
def test_long_username_is_neither_normalized_nor_looked_up(api, route, calls):
    with CaptureQueriesContext(connection) as statements:
        response = api.post(route, DAVE | {"username": MARKS})

    assert response.json() == {"username": ["Ensure this field has no more than 150 characters."]}
    assert calls == []
    assert len(statements) == 0


@pytest.mark.parametrize("route", [LONG.signup, LONG.login])
def test_username_that_normalizing_makes_too_long_is_not_looked_up(api, route, calls):
    with CaptureQueriesContext(connection) as statements:
        response = api.post(route, DAVE | {"username": LIGATURES})

    assert response.json() == {"username": ["Ensure this field has no more than 150 characters."]}
    assert calls == ["normalize"]
    assert len(statements) == 0


@pytest.mark.parametrize("route", [LONG.signup, LONG.login])
def test_long_password_is_not_hashed(api, route, calls):
    response = api.post(route, DAVE | {"password": LONG_PASSWORD})

    assert response.json() == {"password": ["Ensure this field has no more than 4096 characters."]}
    assert calls == ["normalize"]


def test_long_email_is_not_matched(api, calls):
    response = api.post(LONG.signup, DAVE | {"email": "x" * 100_000 + "@example.org"})

    assert response.json() == {"email": ["Ensure this field has no more than 254 characters."]}
    assert calls == ["normalize"]


@pytest.mark.parametrize(
    "credentials",
    [{"username": MARKS}, {"username": LIGATURES}, {"password": LONG_PASSWORD}],
    ids=["long username", "username that normalizing makes too long", "long password"],
)
def test_admin_login_hashes_and_looks_up_nothing(client, calls, credentials):
    with CaptureQueriesContext(connection) as statements:
        response = client.post("/admin/login/", DAVE | credentials)

    [field] = credentials
    assert [field] == list(response.context["form"].errors)
    assert calls == ([] if credentials == {"username": MARKS} else ["normalize"])
    assert len(statements) == 0


def test_admin_add_form_rejects_long_username_early(monkeypatch):
    normalized = []
    monkeypatch.setattr(unicodedata, "normalize", lambda form, text: normalized.append(text) or text)
    admin = superuser()

    with CaptureQueriesContext(connection) as statements:
        admin.post("/admin/auth/user/add/", {"username": MARKS, "password1": "", "password2": ""})

    assert MARKS not in normalized
    assert not any(MARKS in statement["sql"] for statement in statements)


@pytest.mark.parametrize(
    ("page", "form"),
    [
        ("auth_user_add", {"username": "dave", "password1": LONG_PASSWORD, "password2": LONG_PASSWORD}),
        ("auth_user_password_change", {"password1": LONG_PASSWORD, "password2": LONG_PASSWORD}),
        ("password_change", {"old_password": "", "new_password1": LONG_PASSWORD, "new_password2": LONG_PASSWORD}),
    ],
)
def test_admin_hashes_no_long_password(bob, hashed, page, form):
    path = reverse(f"admin:{page}", args=[bob.pk] if page == "auth_user_password_change" else [])

    response = superuser().post(path, form)

    assert "This password is too long." in response.content.decode()
    assert hashed == []


def test_admin_password_change_does_not_hash_long_password(hashed):
    root = User.objects.create_superuser("root", password="correct horse battery")
    hashed.clear()
    form = {"old_password": LONG_PASSWORD, "new_password1": "another password", "new_password2": "another password"}

    response = signed_in(root).post("/admin/password_change/", form)

    assert "Your old password was entered incorrectly." in response.content.decode()
    assert hashed == []


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Token " + "0" * 8000, 401),
        ("token " + "0" * 8000, 401),
        ("Token" + " " * 8000, 401),
        ("Bearer " + "0" * 8000, 401),
        ("Basic " + "0" * 8000, 200),
        ("Tokens " + "0" * 8000, 200),
        ("0" * 8000, 200),
        ("Token " + "0" * 41, 401),
    ],
)
def test_long_header_is_neither_parsed_nor_looked_up(api, monkeypatch, header, status):
    monkeypatch.setattr(tokens, "TOKEN_PATTERN", None)
    if len(header) > 100:
        monkeypatch.setattr(tokens.TokenAuthentication, "authenticate_credentials", None)

    response = api.get(LONG.events, headers={"authorization": header})

    assert response.status_code == status


def test_header_may_hold_more_than_one_space(bob, api):
    token = Token.objects.create(user=bob)

    response = api.get(LONG.reservations, headers={"authorization": f"Token    {token.key} "})

    assert response.status_code == 200
