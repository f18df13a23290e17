"""Password changes, deactivation and an admin action revoke tokens and end sessions."""

import getpass
from contextlib import contextmanager

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.authtoken.models import Token

from authentication import admin
from authentication.hashers import MAX_PASSWORD_LENGTH
from authentication.validators import MaximumLengthValidator
from tests.admin import signed_in, staff, superuser
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


def disable_in_a_shell(user):
    user.set_unusable_password()
    user.save()


def disable_in_the_admin(user):
    form = {"usable_password": "false", "unset-password": "1"}
    superuser().post(reverse("admin:auth_user_password_change", args=[user.pk]), form)


def by_an_assigned_hash(user):
    user.password = make_password(NEW)
    user.save()


def deactivate(user):
    user.is_active = False
    user.save()


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

    disable_in_the_admin(bob)

    assert not User.objects.get(pk=bob.pk).has_usable_password()
    assert not is_authenticated(client)


@pytest.mark.parametrize("change", [disable_in_a_shell, by_an_assigned_hash])
def test_change_without_password_changed_revokes_token(as_user, bob, carol, change):
    bobs, carols = as_user(bob), as_user(carol)

    change(bob)

    assert not is_authenticated(bobs)
    assert is_authenticated(carols)


class RevocationFailed(Exception):
    pass


@contextmanager
def failing_revocation(number):
    """Make the nth deletion of a token fail, counted from 1."""
    deletions = []

    def fail(execute, sql, parameters, many, context):
        if sql.startswith('DELETE FROM "authtoken_token"'):
            deletions.append(sql)
            if len(deletions) == number:
                raise RevocationFailed
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(fail), pytest.raises(RevocationFailed):
        yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("change", "number"),
    [
        (in_a_shell, 1),
        (by_the_command, 1),
        (in_the_admin, 1),
        (in_the_admin, 2),
        (disable_in_a_shell, 1),
        (disable_in_the_admin, 1),
        (disable_in_the_admin, 2),
        (by_an_assigned_hash, 1),
        (deactivate, 1),
    ],
)
def test_failed_revocation_changes_nothing(as_user, bob, change, number):
    bob.set_password("correct horse battery")
    bob.save()
    client = as_user(bob)

    with failing_revocation(number):
        change(User.objects.get(pk=bob.pk))

    bob.refresh_from_db()
    assert bob.is_active
    assert bob.check_password("correct horse battery")
    assert is_authenticated(client)


def test_token_that_a_login_creates_during_the_change_is_revoked(bob):
    """The login creates the token between the first revocation and the save."""

    def log_in_first(execute, sql, parameters, many, context):
        if sql.startswith('UPDATE "auth_user"'):
            Token.objects.create(user=bob)
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(log_in_first):
        in_a_shell(User.objects.get(pk=bob.pk))

    assert not Token.objects.exists()


def test_saving_other_fields_needs_no_token_query(bob, django_assert_num_queries):
    bob.email = "other@example.org"

    with django_assert_num_queries(1):
        bob.save(update_fields=["email"])


def test_new_account_has_no_token_to_revoke(django_assert_num_queries):
    with django_assert_num_queries(1):
        User(username="dave", password=make_password(NEW)).save()


def test_hash_upgrade_keeps_token(settings, as_user, bob):
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


def test_admin_resets_a_forgotten_password(api, bob):
    bob.set_password("correct horse battery")
    bob.save()
    account = {"username": "bob", "password": "correct horse battery"}
    assert api.post(LONG.login, account).status_code == 200

    in_the_admin(bob)

    assert api.post(LONG.login, account).status_code == 400
    assert api.post(LONG.login, account | {"password": NEW}).status_code == 200


def test_admin_shows_password_help_text(bob):
    page = superuser().get(reverse("admin:auth_user_password_change", args=[bob.pk])).content.decode()

    assert "A new password ends every session of the account and revokes its API token and calendar address." in page


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


def revoke(client, *users):
    choice = {"action": "revoke_tokens", "_selected_action": [user.pk for user in users]}
    return client.post(USERS, choice, follow=True)


def messages(response):
    return [str(message) for message in response.context["messages"]]


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_admin_revokes_tokens(as_user, alice, bob, carol, monkeypatch, batch):
    monkeypatch.setattr(admin, "BATCH_SIZE", batch)
    others, *clients = [as_user(user) for user in (carol, alice, bob)]

    response = revoke(superuser(), alice, bob)

    assert messages(response) == ["Revoked the tokens and calendar addresses of 2 users."]
    assert not any(is_authenticated(client) for client in clients)
    assert is_authenticated(others)


def test_message_for_one_token(as_user, alice, bob):
    as_user(bob)

    assert messages(revoke(superuser(), alice, bob)) == ["Revoked the tokens and calendar addresses of 1 user."]


def test_message_without_tokens(bob):
    assert messages(revoke(superuser(), bob)) == ["None of the selected users has a token or a calendar address."]
    assert not LogEntry.objects.exists()


def test_revocation_is_in_the_history_of_each_user_who_had_a_token(as_user, alice, bob, carol):
    for user in (bob, carol):
        as_user(user)

    revoke(superuser(), alice, bob, carol)

    entries = LogEntry.objects.all()
    assert {(entry.user.username, entry.object_id) for entry in entries} == {
        ("boss", str(bob.pk)),
        ("boss", str(carol.pk)),
    }
    assert {(entry.action_flag, entry.get_change_message()) for entry in entries} == {
        (CHANGE, "Revoked the tokens and calendar addresses.")
    }


def test_revocation_never_shows_a_token(as_user, bob):
    as_user(bob)
    key = Token.objects.get().key
    boss = superuser()

    pages = [revoke(boss, bob), boss.get(reverse("admin:auth_user_history", args=[bob.pk]))]

    assert not any(key in page.content.decode() for page in pages)


def test_statements_of_a_revocation_do_not_grow_with_the_users(people):
    users = people(20)
    Token.objects.bulk_create(Token(key=f"{user.pk:040}", user=user) for user in users)
    boss = superuser()

    def count(*chosen):
        with CaptureQueriesContext(connection) as statements:
            revoke(boss, *chosen)
        return len(statements)

    few = count(*users[:2])

    assert count(*users[2:]) == few


def test_revocation_needs_the_permission_to_change_users(as_user, bob):
    client = as_user(bob)
    viewer = staff("viewer", "view_user")

    assert "Revoke the tokens and calendar addresses of selected users" not in viewer.get(USERS).content.decode()
    revoke(viewer, bob)

    assert is_authenticated(client)


def test_change_permission_allows_revocation(as_user, bob):
    client = as_user(bob)
    changer = staff("changer", "view_user", "change_user")

    assert "Revoke the tokens and calendar addresses of selected users" in changer.get(USERS).content.decode()
    revoke(changer, bob)

    assert not is_authenticated(client)


def test_longest_password_is_accepted():
    MaximumLengthValidator().validate("x" * MAX_PASSWORD_LENGTH)

    with pytest.raises(ValidationError, match="at most 4096 characters"):
        MaximumLengthValidator().validate("x" * (MAX_PASSWORD_LENGTH + 1))


def test_command_refuses_a_password_that_no_login_would_accept(bob, monkeypatch, capsys):
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "x" * (MAX_PASSWORD_LENGTH + 1))

    with pytest.raises(CommandError):
        call_command("changepassword", "bob")

    assert "This password is too long." in capsys.readouterr().err
