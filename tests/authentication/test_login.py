from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher, check_password, make_password
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.authtoken.models import Token

from authentication.hashers import PBKDF2PasswordHasher, ScryptPasswordHasher
from authentication.models import AttemptWindow
from authentication.tokens import MAX_ATTEMPTS
from eventmanagement.environment import rate
from tests.conftest import LONG
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session

PASSWORD = "correct horse battery"
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")


@pytest.fixture
def dave(settings):
    # A cheap hasher, because these tests check the rules of a login, not the hash.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_user("dave", password=PASSWORD)


def wrong(api, routes, **extra):
    return api.post(routes.login, {"username": "dave", "password": "wrong"}, **extra)


def right(api, routes, **extra):
    return api.post(routes.login, {"username": "dave", "password": PASSWORD}, **extra)


def test_login_gives_a_token_that_works(api, routes, dave):
    response = right(api, routes)

    token = Token.objects.get(user=dave).key
    assert response.status_code == 200
    assert response.json() == {"token": token}
    assert api.get(routes.reservations, headers={"authorization": f"Token {token}"}).status_code == 200


def test_second_login_gives_the_same_token(api, routes, dave):
    assert right(api, routes).json() == right(api, routes).json()


def test_login_sets_last_login(api, routes, dave):
    before = timezone.now()

    right(api, routes)

    assert before <= User.objects.get().last_login <= timezone.now()


def test_failed_login_does_not_set_last_login(api, routes, dave):
    wrong(api, routes)

    assert User.objects.get().last_login is None


def test_only_a_login_sets_last_login(api, routes, dave):
    token = right(api, routes).json()["token"]
    User.objects.update(last_login=None)

    with CaptureQueriesContext(connection) as statements:
        api.get(routes.reservations, headers={"authorization": f"Token {token}"})
        api.post(routes.logout, headers={"authorization": f"Token {token}"})

    assert User.objects.get().last_login is None
    assert not any(statement["sql"].startswith("UPDATE") for statement in statements)


def test_username_is_normalized(api, routes, dave):
    response = api.post(routes.login, {"username": "d\uff41ve", "password": PASSWORD})

    assert response.status_code == 200


@pytest.mark.parametrize("username", ["dave", "nobody"])
def test_unknown_username_gets_same_response(api, routes, dave, username):
    response = api.post(routes.login, {"username": username, "password": "wrong"})

    assert response.status_code == 400
    assert response.json() == {"non_field_errors": ["The username or the password is wrong."]}


def test_inactive_account_is_refused_like_a_wrong_password(api, routes, dave):
    User.objects.update(is_active=False)

    response = right(api, routes)

    assert response.status_code == 400
    assert response.json() == {"non_field_errors": ["The username or the password is wrong."]}


@pytest.mark.parametrize("body", [{}, {"username": "dave"}, {"password": PASSWORD}, {"username": "", "password": ""}])
def test_missing_values_are_refused_on_their_field(api, routes, body):
    response = api.post(routes.login, body)

    assert response.status_code == 400
    assert set(response.json()) <= {"username", "password"}


def test_pbkdf2_hash_is_upgraded(api, routes):
    dave = User.objects.create(username="dave", password=make_password(PASSWORD, hasher="pbkdf2_sha256"))

    response = right(api, routes)

    dave.refresh_from_db()
    assert response.status_code == 200
    assert dave.password.startswith("scrypt$")


def test_limit_counts_failures_by_address_and_username(api, routes, settings, dave):
    settings.THROTTLE_LOGIN = rate("2/min")
    wrong(api, routes)
    wrong(api, routes)

    response = right(api, routes)

    assert response.status_code == 429
    assert response.json()["code"] == "throttled"
    assert 0 < int(response["Retry-After"]) <= 60
    assert right(api, routes, REMOTE_ADDR="192.0.2.1").status_code == 200
    assert api.post(routes.login, {"username": "erin", "password": "wrong"}).status_code == 400


@pytest.mark.parametrize("limit", ["THROTTLE_LOGIN", "THROTTLE_LOGIN_ADDRESS"])
def test_limit_does_not_count_successes(api, routes, settings, dave, limit):
    setattr(settings, limit, rate("1/hour"))

    assert [right(api, routes).status_code for _ in range(3)] == [200, 200, 200]


@pytest.fixture
def hashed(dave, monkeypatch):
    """Collect the passwords that are hashed."""
    hashed = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(
        MD5PasswordHasher,
        "encode",
        lambda hasher, password, salt: hashed.append(password) or encode(hasher, password, salt),
    )
    return hashed


def test_attempt_limit_counts_successes(api, routes, settings, hashed):
    settings.THROTTLE_LOGIN = rate("1/min")
    assert {right(api, routes).status_code for _ in range(10)} == {200}
    hashed.clear()

    response = right(api, routes)

    assert response.status_code == 429
    assert response.json()["code"] == "throttled"
    assert 0 < int(response["Retry-After"]) <= 60
    assert hashed == []
    assert right(api, routes, REMOTE_ADDR="192.0.2.1").status_code == 200
    assert api.post(routes.login, {"username": "erin", "password": "wrong"}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_attempt_limit_is_exact_under_concurrency(api, settings, hashed):
    settings.THROTTLE_LOGIN = rate("1/min")
    for _ in range(6):
        right(api, LONG)
    hashed.clear()

    outcomes = race([lambda: right(api, LONG).status_code] * 8)

    assert sorted(outcomes) == [200] * 4 + [429] * 4
    assert len(hashed) == 4


def test_refused_login_is_not_counted_as_an_attempt(api, routes, settings, dave):
    settings.THROTTLE_LOGIN_ADDRESS = rate("1/hour")
    wrong(api, routes)
    before = list(AttemptWindow.objects.order_by("pk").values_list("attempts", flat=True))

    assert right(api, routes).status_code == 429

    assert list(AttemptWindow.objects.order_by("pk").values_list("attempts", flat=True)) == before


def test_limit_ends_with_its_period(api, routes, settings, dave):
    settings.THROTTLE_LOGIN = rate("1/min")
    wrong(api, routes)
    AttemptWindow.objects.update(ends_at=timezone.now() - timedelta(seconds=1))

    assert wrong(api, routes).status_code == 400
    assert wrong(api, routes).status_code == 429


def test_limit_can_be_switched_off(api, routes, settings, dave):
    settings.THROTTLE_LOGIN = rate("off")

    assert {wrong(api, routes).status_code for _ in range(12)} == {400}
    assert {right(api, routes).status_code for _ in range(12)} == {200}


def test_forwarded_header_is_ignored_without_proxy(api, routes, settings, dave):
    settings.THROTTLE_LOGIN = rate("1/min")
    wrong(api, routes, headers={"x-forwarded-for": "192.0.2.1"})

    response = wrong(api, routes, headers={"x-forwarded-for": "192.0.2.2"})

    assert response.status_code == 429


def test_trusted_proxy_sets_client_ip(api, routes, settings, dave):
    settings.THROTTLE_LOGIN = rate("1/min")
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    wrong(api, routes, headers={"x-forwarded-for": "192.0.2.1"})

    response = wrong(api, routes, headers={"x-forwarded-for": "192.0.2.2"})

    assert response.status_code == 400


def test_expired_windows_are_deleted(api, routes, settings, dave):
    wrong(api, routes)
    AttemptWindow.objects.update(ends_at=timezone.now() - timedelta(seconds=1))

    api.post(routes.login, {"username": "erin", "password": "wrong"}, REMOTE_ADDR="192.0.2.1")

    assert AttemptWindow.objects.filter(ends_at__lt=timezone.now()).count() == 0


def test_usernames_are_not_stored(api, routes, dave):
    wrong(api, routes)

    assert not AttemptWindow.objects.filter(subject__contains="dave").exists()


def guess(api, routes, number, **extra):
    """Try a wrong password, each time with a different username."""
    return api.post(routes.login, {"username": f"user{number}", "password": "wrong"}, **extra).status_code


def test_ip_limit_counts_all_usernames(api, routes, settings, dave):
    settings.THROTTLE_LOGIN_ADDRESS = rate("2/hour")
    guess(api, routes, 1)
    guess(api, routes, 2)

    response = right(api, routes)

    assert response.status_code == 429
    assert response.json()["code"] == "throttled"
    assert 60 < int(response["Retry-After"]) <= 60 * 60


def test_ip_limit_does_not_affect_other_ips(api, routes, settings, dave):
    settings.THROTTLE_LOGIN_ADDRESS = rate("1/hour")
    wrong(api, routes)
    wrong(api, routes)

    assert right(api, routes, REMOTE_ADDR="192.0.2.1").status_code == 200


def test_attempt_limit_of_an_ip_counts_successes_of_all_usernames(api, routes, settings, hashed):
    settings.THROTTLE_LOGIN_ADDRESS = rate("1/hour")
    for number in range(10):
        User.objects.create_user(f"user{number}", password=PASSWORD)
        assert api.post(routes.login, {"username": f"user{number}", "password": PASSWORD}).status_code == 200
    hashed.clear()

    response = right(api, routes)

    assert response.status_code == 429
    assert hashed == []
    assert right(api, routes, REMOTE_ADDR="192.0.2.1").status_code == 200


def test_limit_by_address_can_be_switched_off(api, routes, settings, dave):
    settings.THROTTLE_LOGIN_ADDRESS = rate("1/hour")
    guess(api, routes, 1)
    settings.THROTTLE_LOGIN_ADDRESS = rate("off")

    assert [guess(api, routes, number) for number in range(2, 5)] == [400, 400, 400]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("203.0.113.9:50001", "203.0.113.9:50002"),
        ("203.0.113.9", "::ffff:203.0.113.9"),
        ("2001:db8::1", "[2001:DB8:0:0::2]:443"),
        ("nonsense", "other nonsense"),
    ],
)
def test_ip_spellings_count_as_one_client(api, routes, settings, dave, first, second):
    settings.THROTTLE_LOGIN_ADDRESS = rate("1/hour")
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    guess(api, routes, 1, headers={"x-forwarded-for": first})

    assert guess(api, routes, 2, headers={"x-forwarded-for": second}) == 429


@pytest.mark.django_db(transaction=True)
def test_ip_limit_is_exact_under_concurrency(api, settings, dave):
    settings.THROTTLE_LOGIN_ADDRESS = rate("3/hour")

    outcomes = race([lambda number=number: guess(api, LONG, number) for number in range(8)])

    assert sorted(outcomes) == [400] * 3 + [429] * 5
    assert right(api, LONG).status_code == 429


@pytest.mark.django_db(transaction=True)
def test_limit_is_exact_under_concurrency(api, settings, dave):
    settings.THROTTLE_LOGIN = rate("3/min")

    outcomes = race([lambda: wrong(api, LONG).status_code] * 8)

    assert sorted(outcomes) == [400] * 3 + [429] * 5
    assert right(api, LONG).status_code == 429


@pytest.mark.parametrize("username", ["dave", "nobody"])
def test_failed_login_computes_one_hash(api, routes, username, hashed):
    api.post(routes.login, {"username": username, "password": "wrong"})

    assert len(hashed) == 1


@pytest.mark.parametrize("limit", ["THROTTLE_LOGIN", "THROTTLE_LOGIN_ADDRESS"])
def test_password_is_not_checked_above_limit(api, routes, settings, dave, monkeypatch, limit):
    setattr(settings, limit, rate("1/min"))
    wrong(api, routes)
    monkeypatch.setattr("authentication.login.authenticate", lambda request, **credentials: 1 / 0)

    assert right(api, routes).status_code == 429


@pytest.mark.parametrize(
    ("limit", "subject"),
    [
        ("THROTTLE_LOGIN", ["login", "127.0.0.1", "dave"]),
        ("THROTTLE_LOGIN_ADDRESS", ["login_address", "127.0.0.1"]),
    ],
)
def test_right_concurrent_guess_is_throttled(api, routes, settings, dave, monkeypatch, limit, subject):
    setattr(settings, limit, rate("1/min"))

    def fail_elsewhere_meanwhile(request, **credentials):
        AttemptWindow.objects.spend(getattr(settings, limit), *subject)
        return dave

    monkeypatch.setattr("authentication.login.authenticate", fail_elsewhere_meanwhile)

    response = right(api, routes)

    assert response.status_code == 429
    assert not Token.objects.exists()


def delete(user):
    user.delete()


def deactivate(user):
    user.is_active = False
    user.save()


def change_password(user):
    user.set_password("another password")
    user.save()


def disable_password(user):
    user.set_unusable_password()
    user.save()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [delete, deactivate, change_password, disable_password])
def test_account_changed_during_login_is_refused(api, routes, dave, meanwhile, change):
    meanwhile(change)

    response = right(api, routes)

    assert response.status_code == 400
    assert response.json() == {"non_field_errors": ["The username or the password is wrong."]}
    assert not Token.objects.exists()
    assert not User.objects.filter(last_login__isnull=False).exists()


def test_concurrent_hash_upgrade_does_not_break_login(api, routes, dave, meanwhile):
    meanwhile(lambda user: User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD)))

    response = right(api, routes)

    assert response.status_code == 200
    assert response.json() == {"token": Token.objects.get(user=dave).key}


def test_hash_is_checked_again_outside_the_lock(api, dave, meanwhile, monkeypatch):
    meanwhile(lambda user: User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD)))
    depths = []

    def watch(password, encoded):
        depths.append(len(connection.savepoint_ids))
        return check_password(password, encoded)

    monkeypatch.setattr("authentication.tokens.check_password", watch)
    outside = len(connection.savepoint_ids)

    right(api, LONG)

    assert depths == [outside]


def test_token_attempts_are_limited(api, routes, dave, monkeypatch):
    checks = []

    def change_again(password, encoded):
        checks.append(encoded)
        return User.objects.filter(pk=dave.pk).update(password=make_password(PASSWORD))

    monkeypatch.setattr("authentication.tokens.check_password", change_again)
    change_again(PASSWORD, "")
    monkeypatch.setattr("authentication.login.authenticate", lambda request, **credentials: dave)

    response = right(api, routes)

    assert response.status_code == 503
    assert response.json()["code"] == "unavailable"
    assert len(checks) == 1 + MAX_ATTEMPTS
    assert not Token.objects.exists()


def test_token_race_is_retried(api, dave, monkeypatch):
    get_or_create = Token.objects.get_or_create
    tries = []

    def fail_first(**values):
        tries.append(values)
        if len(tries) == 1:
            raise IntegrityError
        return get_or_create(**values)

    monkeypatch.setattr(Token.objects, "get_or_create", fail_first)

    assert right(api, LONG).status_code == 200
    assert len(tries) == 2


def test_hash_upgrade_does_not_restore_old_password(api, routes, monkeypatch):
    """The password is changed while a login upgrades the hash of the old password."""
    dave = User.objects.create(username="dave", password=make_password(PASSWORD, hasher="pbkdf2_sha256"))

    def change_first(password):
        change_password(User.objects.get(pk=dave.pk))
        return make_password(password)

    monkeypatch.setattr("authentication.backends.make_password", change_first)

    response = right(api, routes)

    dave.refresh_from_db()
    assert response.status_code == 400
    assert dave.check_password("another password")
    assert not Token.objects.exists()


def test_upgraded_hash_keeps_the_token(api, as_user):
    dave = User.objects.create(username="dave", password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    as_user(dave)
    token = Token.objects.get(user=dave).key

    response = right(api, LONG)

    dave.refresh_from_db()
    assert dave.password.startswith("scrypt$")
    assert response.json() == {"token": token}


@pytest.mark.django_db(transaction=True)
def test_logins_at_once_get_one_token(api, dave):
    outcomes = race([lambda: right(api, LONG).json()["token"]] * 8)

    assert set(outcomes) == {Token.objects.get().key}


@pytest.mark.django_db(transaction=True)
def test_logins_at_once_that_upgrade_the_hash_all_succeed(api, monkeypatch):
    # Cheap hashes, so that no login times out while waiting for the semaphore.
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 1)
    monkeypatch.setattr(ScryptPasswordHasher, "work_factor", 2)
    User.objects.create(username="dave", password=make_password(PASSWORD, hasher="pbkdf2_sha256"))

    outcomes = race([lambda: right(api, LONG).json()["token"]] * 8)

    assert set(outcomes) == {Token.objects.get().key}


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [delete, deactivate, change_password])
def test_login_waits_for_concurrent_account_change(api, dave, change):
    """The account is changed between the password check and the creation of the token."""
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            user = User.objects.select_for_update().get(pk=dave.pk)
            login = thread.submit(race, [lambda: right(api, LONG)])
            wait_for_blocked_session()
            change(user)
        [response] = login.result(RACE_TIMEOUT)

    assert response.status_code == 400
    assert not Token.objects.exists()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_new_password_waits_for_a_login_and_revokes_its_token(api, dave, monkeypatch):
    get_or_create = Token.objects.get_or_create
    changes = []

    with ThreadPoolExecutor(1) as thread:

        def change_while_locked(**values):
            user = User.objects.get(pk=dave.pk)
            changes.append(thread.submit(race, [lambda: change_password(user)]))
            wait_for_blocked_session()
            return get_or_create(**values)

        monkeypatch.setattr(Token.objects, "get_or_create", change_while_locked)

        response = right(api, LONG)
        changes[0].result(RACE_TIMEOUT)

    assert response.status_code == 200
    assert not Token.objects.exists()
