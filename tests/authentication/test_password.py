"""A user changes the password. The old token and all sessions become invalid."""

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import MD5PasswordHasher, check_password, make_password
from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from rest_framework.authtoken.models import Token

from authentication import tokens
from authentication.models import AttemptWindow
from authentication.tokens import MAX_ATTEMPTS
from eventmanagement.environment import rate
from tests.admin import signed_in
from tests.conftest import LONG
from tests.races import race

OLD = "correct horse battery"
NEW = "another password"
WRONG = {"old_password": ["The password is wrong."]}


@pytest.fixture
def dave(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_user("dave", "dave@example.org", OLD)


@pytest.fixture
def client(as_user, dave):
    return as_user(dave)


def change(client, old=OLD, new=NEW, **extra):
    return client.post(LONG.password, {"old_password": old, "new_password": new}, **extra)


def is_authenticated(client):
    return client.get(LONG.me).status_code == 200


def assert_unchanged(dave, client):
    assert User.objects.values().get(pk=dave.pk)["password"] == dave.password
    assert is_authenticated(client)


def test_password_is_changed(client, dave, api):
    response = change(client)

    token = Token.objects.get(user=dave).key
    assert response.status_code == 200
    assert response.json() == {"token": token}
    assert User.objects.get(pk=dave.pk).check_password(NEW)
    api.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert is_authenticated(api)


def test_old_token_is_revoked(client, as_user, bob):
    bobs = as_user(bob)

    change(client)

    assert not is_authenticated(client)
    assert is_authenticated(bobs)


def test_sessions_end(client, dave):
    dave.is_staff = True
    dave.save()
    session = signed_in(dave)
    assert session.get("/admin/").status_code == 200

    change(client)

    assert session.get("/admin/").status_code == 302


def test_setting_the_same_password_revokes_the_token_too(client, dave):
    assert change(client, new=OLD).status_code == 200

    assert not is_authenticated(client)


def test_last_login_is_kept(client, dave):
    change(client)

    assert User.objects.get(pk=dave.pk).last_login is None


@pytest.mark.parametrize("old", ["wrong", OLD.upper(), f" {OLD}"])
def test_wrong_old_password_is_refused(client, dave, old):
    response = change(client, old=old)

    assert response.status_code == 400
    assert response.json() == WRONG
    assert_unchanged(dave, client)


def test_account_without_a_usable_password_is_refused(as_user, bob, dave):
    response = change(as_user(bob), old="")
    assert response.json() == {"old_password": ["This field may not be blank."]}

    assert change(as_user(bob)).json() == WRONG


@pytest.mark.parametrize("new", ["short", "password", "0123456789", "dave@example", "dave@example.org"])
def test_new_password_is_validated_with_the_user(client, dave, new):
    response = change(client, new=new)

    assert response.status_code == 400
    assert list(response.json()) == ["new_password"]
    assert_unchanged(dave, client)


def test_wrong_old_password_precedes_validation_of_the_new_one(client):
    assert change(client, old="wrong", new="short").json() == WRONG


@pytest.fixture
def hashed(dave, monkeypatch):
    """Collect the passwords that are hashed."""
    passwords = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(
        MD5PasswordHasher,
        "encode",
        lambda hasher, password, salt: passwords.append(password) or encode(hasher, password, salt),
    )
    return passwords


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in ("old_password", "new_password") for value in ("", None, [], {}, True)),
        ("old_password", "x" * 4097),
        ("new_password", "x" * 4097),
    ],
)
def test_bad_values_are_refused_before_anything_is_hashed_or_counted(client, dave, hashed, field, value):
    response = client.post(LONG.password, {"old_password": OLD, "new_password": NEW} | {field: value})

    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert hashed == []
    assert not AttemptWindow.objects.exists()
    assert_unchanged(dave, client)


@pytest.mark.parametrize("field", ["old_password", "new_password"])
def test_missing_values_are_refused_on_their_field(client, field):
    response = client.post(LONG.password, {field: OLD})

    assert response.status_code == 400
    assert list(response.json()) == [name for name in ("old_password", "new_password") if name != field]


def test_one_hash_each_is_computed(client, hashed):
    change(client)

    assert hashed == [OLD, NEW]


def test_nothing_is_hashed_after_a_wrong_password(client, hashed):
    change(client, old="wrong")

    assert hashed == ["wrong"]


@pytest.mark.parametrize("limit", ["THROTTLE_LOGIN", "THROTTLE_LOGIN_ADDRESS"])
def test_wrong_old_password_counts_as_a_failed_login(client, dave, settings, limit, hashed):
    setattr(settings, limit, rate("1/hour"))
    change(client, old="wrong")
    hashed.clear()

    responses = [change(client), client.post(LONG.login, {"username": "dave", "password": OLD})]

    assert [response.status_code for response in responses] == [429, 429]
    assert responses[0].json()["code"] == "throttled"
    assert int(responses[0]["Retry-After"]) > 0
    assert hashed == []
    assert_unchanged(dave, client)
    assert change(client, REMOTE_ADDR="192.0.2.1").status_code == 200


def test_failed_login_counts_for_the_old_password(client, settings):
    settings.THROTTLE_LOGIN = rate("1/hour")
    client.post(LONG.login, {"username": "dave", "password": "wrong"})

    assert change(client).status_code == 429


def test_right_old_passwords_are_limited_like_logins(client, settings):
    settings.THROTTLE_LOGIN = rate("1/hour")

    outcomes = [change(client, new="short").status_code for _ in range(11)]

    assert outcomes == [400] * 10 + [429]


def test_account_that_got_the_username_meanwhile_is_not_changed(client, dave, monkeypatch):
    """The username goes to another account, with the same password, after the request is authenticated."""
    other = User.objects.create_user("erin", password=OLD)

    def swap_first(request, **credentials):
        User.objects.filter(pk=dave.pk).update(username="renamed")
        User.objects.filter(pk=other.pk).update(username="dave")
        return authenticate(request, **credentials)

    monkeypatch.setattr("authentication.login.authenticate", swap_first)

    response = change(client)

    assert response.json() == WRONG
    assert User.objects.get(pk=other.pk).check_password(OLD)
    assert User.objects.get(pk=dave.pk).check_password(OLD)


def set_third_password(user):
    user.set_password("third password")
    user.save()


def deactivate(user):
    user.is_active = False
    user.save()


@pytest.mark.parametrize("action", [set_third_password, deactivate, lambda user: user.delete()])
def test_account_changed_meanwhile_is_refused(client, dave, meanwhile, action):
    meanwhile(action)

    response = change(client)

    assert response.status_code == 400
    assert response.json() == WRONG
    assert not any(user.check_password(NEW) for user in User.objects.all())
    assert not Token.objects.exists()


def test_hash_upgraded_meanwhile_is_accepted(client, dave, meanwhile):
    meanwhile(lambda user: User.objects.filter(pk=user.pk).update(password=make_password(OLD)))

    response = change(client)

    assert response.status_code == 200
    assert User.objects.get(pk=dave.pk).check_password(NEW)


def test_nothing_is_hashed_while_the_row_is_locked(client, dave, monkeypatch, hashed, meanwhile):
    meanwhile(lambda user: User.objects.filter(pk=user.pk).update(password=make_password(OLD)))
    outside = len(connection.savepoint_ids)
    depths = []
    encode = MD5PasswordHasher.encode

    def watch(hasher, password, salt):
        depths.append(len(connection.savepoint_ids))
        return encode(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", watch)

    change(client)

    assert set(depths) == {outside}


def test_attempts_are_limited(client, dave, monkeypatch):
    checks = []

    def change_again(password, encoded):
        checks.append(encoded)
        return User.objects.filter(pk=dave.pk).update(password=make_password(OLD))

    monkeypatch.setattr("authentication.tokens.check_password", change_again)
    monkeypatch.setattr("authentication.login.authenticate", lambda request, **credentials: dave)
    change_again(OLD, "")

    response = change(client)

    assert response.status_code == 503
    assert response.json()["code"] == "unavailable"
    assert len(checks) == 1 + MAX_ATTEMPTS
    assert is_authenticated(client)


def test_token_created_without_a_lock_is_retried(client, dave, monkeypatch):
    create = Token.objects.create
    attempts = []

    def fail_first(**values):
        attempts.append(values)
        if len(attempts) == 1:
            raise IntegrityError
        return create(**values)

    monkeypatch.setattr(Token.objects, "create", fail_first)

    response = change(client)

    assert response.json() == {"token": Token.objects.get().key}
    assert not is_authenticated(client)


def test_failed_change_changes_nothing(client, dave, monkeypatch):
    monkeypatch.setattr(tokens, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(Token.objects, "create", lambda **values: 1 / 0)
    client.raise_request_exception = False

    assert change(client).status_code == 500

    assert_unchanged(dave, client)


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_leave_one_token_and_one_password(client, dave):
    new = [f"new password {number}" for number in range(4)]

    outcomes = race([lambda password=password: change(client, new=password) for password in new])

    [winner] = [number for number, response in enumerate(outcomes) if response.status_code == 200]
    assert User.objects.get(pk=dave.pk).check_password(new[winner])
    assert Token.objects.get().key == outcomes[winner].json()["token"]
    # 400 if the request was authenticated before the winner committed, otherwise 401.
    assert {response.status_code for response in outcomes} <= {200, 400, 401}


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another")
def test_login_with_old_password_during_change_leaves_no_token(client, dave, api):
    login = {"username": "dave", "password": OLD}

    changed, *logins = race([lambda: change(client), *[lambda: api.post(LONG.login, login)] * 3])

    assert changed.status_code == 200
    assert {response.status_code for response in logins} <= {200, 400}
    assert Token.objects.get().key == changed.json()["token"]
    assert check_password(NEW, User.objects.get(pk=dave.pk).password)
