"""What is too long is refused by its length, before it costs anything else."""

import unicodedata

import pytest
from django.contrib.auth import hashers
from django.core.validators import EmailValidator
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import LONG

DAVE = {"username": "dave", "password": "correct horse battery"}
# Combining marks out of their canonical order: to normalize them takes quadratic time.
MARKS = "a" + "\u0301\u0327" * 20_000
# 51 ligatures, which NFKC makes 153 letters of.
LIGATURES = "\ufb03" * 51
LONG_PASSWORD = "x" * 100_000


@pytest.fixture(autouse=True)
def unlimited(settings):
    """Attempts are counted in the database; here that would hide other queries."""
    settings.THROTTLE_SIGNUP = None


@pytest.fixture
def calls(monkeypatch):
    """Collect the calls that would be expensive."""
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
