"""What ends a token and a session: a new password, a deactivation."""

import getpass

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.urls import reverse
from rest_framework.authtoken.models import Token

from authentication.hashers import LONGEST_PASSWORD
from authentication.validators import MaximumLengthValidator
from tests.admin import signed_in, superuser
from tests.conftest import LONG

NEW = "another password"
USERS = reverse("admin:auth_user_changelist")


@pytest.fixture(autouse=True)
def _cheap_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def in_a_shell(user):
    user.set_password(NEW)
    user.save()


def by_the_command(user):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(getpass, "getpass", lambda prompt: NEW)
        call_command("changepassword", user.username)


def in_the_admin(user):
    form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    response = superuser().post(reverse("admin:auth_user_password_change", args=[user.pk]), form)
    assert response.status_code == 302


@pytest.fixture(params=[in_a_shell, by_the_command, in_the_admin])
def change_password(request):
    return request.param


def is_authenticated(client):
    return client.get(LONG.reservations).status_code == 200


def test_new_password_revokes_the_token(as_user, bob, carol, change_password):
    bobs, carols = as_user(bob), as_user(carol)

    change_password(User.objects.get(pk=bob.pk))

    assert User.objects.get(pk=bob.pk).check_password(NEW)
    assert not is_authenticated(bobs)
    assert is_authenticated(carols)


def test_new_password_ends_sessions(change_password):
    erin = User.objects.create_superuser("erin", password="correct horse battery")
    session = signed_in(erin)
    assert session.get(USERS).status_code == 200

    change_password(User.objects.get(pk=erin.pk))

    assert session.get(USERS).status_code == 302


def test_staff_who_change_their_own_password_revoke_their_token(as_user):
    erin = User.objects.create_superuser("erin", password="correct horse battery")
    token = as_user(erin)
    form = {"old_password": "correct horse battery", "new_password1": NEW, "new_password2": NEW}

    signed_in(erin).post(reverse("admin:password_change"), form)

    assert User.objects.get(pk=erin.pk).check_password(NEW)
    assert not is_authenticated(token)


def test_password_that_is_disabled_in_the_admin_revokes_the_token(as_user, bob):
    bob.set_password("correct horse battery")
    bob.save()
    client = as_user(bob)
    form = {"usable_password": "false", "unset-password": "1"}

    superuser().post(reverse("admin:auth_user_password_change", args=[bob.pk]), form)

    assert not User.objects.get(pk=bob.pk).has_usable_password()
    assert not is_authenticated(client)


def test_upgraded_hash_is_no_new_password(settings, as_user, bob):
    bob.password = make_password(NEW)
    bob.save()
    client = as_user(bob)
    settings.PASSWORD_HASHERS = ["authentication.hashers.ScryptPasswordHasher", *settings.PASSWORD_HASHERS]

    assert bob.check_password(NEW)

    assert User.objects.get(pk=bob.pk).password.startswith("scrypt$")
    assert is_authenticated(client)


def test_other_changes_of_an_account_keep_the_token(as_user, bob):
    client = as_user(bob)
    bob.email = "other@example.org"
    bob.save()

    assert is_authenticated(client)


def test_admin_tells_what_a_new_password_ends(bob):
    page = superuser().get(reverse("admin:auth_user_password_change", args=[bob.pk])).content.decode()

    assert "A new password ends every session of the account and revokes its API token." in page


def test_token_of_a_deactivated_account_does_not_come_back(as_user, bob):
    client = as_user(bob)
    bob.is_active = False
    bob.save()
    bob.is_active = True
    bob.save()

    assert not is_authenticated(client)


def test_admin_deactivates(as_user, bob):
    client = as_user(bob)
    form = {
        "username": "bob",
        "date_joined_0": "2040-05-01",
        "date_joined_1": "19:00:00",
    }

    superuser().post(reverse("admin:auth_user_change", args=[bob.pk]), form)

    assert not User.objects.get(pk=bob.pk).is_active
    assert not Token.objects.exists()
    assert not is_authenticated(client)


def test_deactivation_ends_sessions():
    erin = User.objects.create_superuser("erin")
    session = signed_in(erin)

    erin.is_active = False
    erin.save()

    assert session.get(USERS).status_code == 302


def test_longest_password_is_accepted():
    MaximumLengthValidator().validate("x" * LONGEST_PASSWORD)

    with pytest.raises(ValidationError, match="at most 4096 characters"):
        MaximumLengthValidator().validate("x" * (LONGEST_PASSWORD + 1))


def test_command_refuses_a_password_that_no_login_would_accept(bob, monkeypatch, capsys):
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "x" * (LONGEST_PASSWORD + 1))

    with pytest.raises(CommandError):
        call_command("changepassword", "bob")

    assert "This password is too long." in capsys.readouterr().err
