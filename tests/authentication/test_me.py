"""Users read their own account and change its email address."""

import json

import pytest
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token

from authentication.serializers import AccountSerializer
from authentication.views import MeView

JSON = "application/json"


@pytest.mark.parametrize("method", ["get", "head"])
def test_own_account_is_shown(as_user, bob, carol, routes, method):
    response = getattr(as_user(bob), method)(routes.me)

    assert response.status_code == 200
    assert response.data == {"id": bob.pk, "username": "bob", "email": "bob@example.org"}


def test_id_finds_own_events(as_user, alice, bob, event, event_of, routes):
    event_of(bob)
    client = as_user(alice)

    events = client.get(routes.events, {"organizer": client.get(routes.me).json()["id"]}).json()["results"]

    assert [found["id"] for found in events] == [event.pk]


def test_email_is_changed(as_user, bob, carol, routes):
    response = as_user(bob).patch(routes.me, {"email": "Bob@EXAMPLE.com"})

    assert response.status_code == 200
    assert response.json() == {"id": bob.pk, "username": "bob", "email": "Bob@example.com"}
    assert User.objects.get(pk=bob.pk).email == "Bob@example.com"
    assert User.objects.get(pk=carol.pk).email == "carol@example.org"


def test_email_can_be_removed(as_user, bob, routes):
    response = as_user(bob).patch(routes.me, {"email": ""})

    assert response.json()["email"] == ""
    assert User.objects.get(pk=bob.pk).email == ""


@pytest.mark.parametrize(
    "value",
    [
        "not an address",
        "x" * 250 + "@example.org",
        None,
        [],
        {},
        True,
        "nul\0@example.org",
        "a@b.cc\u200b",
        "a\u202eb@b.cc",
    ],
)
def test_bad_email_is_refused(as_user, bob, routes, value):
    response = as_user(bob).patch(routes.me, {"email": value})

    assert response.status_code == 400
    assert list(response.json()) == ["email"]
    assert User.objects.get(pk=bob.pk).email == "bob@example.org"


@pytest.mark.parametrize(
    "sent",
    [
        {"id": 77},
        {"username": "carol"},
        {"username": ["carol"]},
        {"password": "another password"},
        {"is_staff": True},
        {"is_superuser": True},
        {"is_active": False},
        {"groups": [1]},
        {"last_login": "2040-05-01T19:00:00Z"},
        {},
    ],
)
def test_everything_else_is_ignored(as_user, bob, routes, sent):
    before = User.objects.values().get(pk=bob.pk)

    response = as_user(bob).patch(routes.me, sent)

    assert response.status_code == 200
    assert response.json() == {"id": bob.pk, "username": "bob", "email": "bob@example.org"}
    assert User.objects.values().get(pk=bob.pk) == before


def test_form_is_read(as_user, bob, routes):
    response = as_user(bob).patch(routes.me, {"email": "other@example.org"}, format="multipart")

    assert response.json()["email"] == "other@example.org"


@pytest.mark.parametrize(
    "body",
    [b"{", b"null", b"[]", b'"text"', b"NaN", b"[" * 100_000, b'{"email": "\\ud800@example.org"}', b'{"email": 9}'],
)
def test_hostile_body_is_a_bad_request(as_user, bob, routes, body):
    response = as_user(bob).patch(routes.me, data=body, content_type=JSON)

    assert response.status_code == 400
    assert response["Content-Type"] == JSON
    assert User.objects.get(pk=bob.pk).email == "bob@example.org"


def test_change_keeps_the_token(as_user, bob, routes):
    client = as_user(bob)
    client.patch(routes.me, {"email": "other@example.org"})

    assert client.get(routes.me).status_code == 200


@pytest.mark.parametrize("method", ["get", "patch"])
def test_account_deleted_after_authentication_is_401(as_user, bob, routes, monkeypatch, method):
    client = as_user(bob)
    get_object = MeView.get_object

    def delete_first(view):
        User.objects.filter(pk=bob.pk).delete()
        return get_object(view)

    monkeypatch.setattr(MeView, "get_object", delete_first)

    response = getattr(client, method)(routes.me)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"
    assert response.json()["detail"] == "The token is invalid. Log in to get a new one."


def test_account_deleted_before_the_change_is_401(as_user, bob, routes, monkeypatch):
    client = as_user(bob)
    update = AccountSerializer.update

    def delete_first(serializer, user, changes):
        User.objects.filter(pk=user.pk).delete()
        return update(serializer, user, changes)

    monkeypatch.setattr(AccountSerializer, "update", delete_first)

    response = client.patch(routes.me, {"email": "other@example.org"})

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"


def test_statements(as_user, bob, routes, django_assert_num_queries):
    client = as_user(bob)

    with django_assert_num_queries(2):
        client.get(routes.me)
    with django_assert_num_queries(3):
        client.patch(routes.me, {"email": "other@example.org"})


def test_key_is_not_shown(as_user, bob, routes):
    response = as_user(bob).get(routes.me)

    assert Token.objects.get().key not in json.dumps(response.json())
