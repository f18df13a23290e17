"""New usernames differ from all others by more than case, and have a visible character."""

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from authentication import serializers
from authentication.usernames import lock_username
from tests.admin import errors, superuser
from tests.conftest import LONG
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session

PASSWORD = "correct horse battery"
TAKEN = ["A user with that username already exists."]
INVISIBLE = ["A username must have a visible character."]
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="needs PostgreSQL")


@pytest.fixture(autouse=True)
def _cheap_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def sign_up(api, username):
    return api.post(LONG.signup, {"username": username, "password": PASSWORD})


def add_in_admin(username):
    form = {"username": username, "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    return superuser().post("/admin/auth/user/add/", form)


def rename_in_admin(boss, user, username):
    form = {"username": username, "date_joined_0": "2040-05-01", "date_joined_1": "19:00:00"}
    return boss.post(f"/admin/auth/user/{user.pk}/change/", form)


@pytest.mark.parametrize("username", ["BOB", "Bob", "bob", "b\uff2fb"])
def test_username_that_differs_by_case_is_taken(api, bob, username):
    response = sign_up(api, username)

    assert response.status_code == 400
    assert response.json() == {"username": TAKEN}
    assert User.objects.count() == 1


def test_taken_username_is_refused_before_the_password_is_hashed(api, bob, monkeypatch):
    monkeypatch.setattr(User, "set_password", lambda user, password: 1 / 0)

    assert sign_up(api, "BOB").json() == {"username": TAKEN}


@pytest.mark.parametrize("username", ["b_b", "b.b", "b%b", "bobb", "bo"])
def test_other_usernames_are_not_taken(api, bob, username):
    """In SQLite's LIKE, which ignores case, ``_`` and ``%`` are wildcards."""
    assert sign_up(api, username).json().get("username") != TAKEN


@pytest.mark.parametrize(("first", "second"), [("élodie", "ÉLODIE"), ("жанна", "Жанна"), ("αβγ", "ΑΒΓ")])
def test_case_of_all_scripts_is_ignored(api, first, second):
    assert sign_up(api, first).status_code == 201

    assert sign_up(api, second).json() == {"username": TAKEN}


@pytest.mark.parametrize("username", ["BOB", "Bob", "bob"])
def test_admin_refuses_a_username_that_differs_by_case(bob, username):
    response = add_in_admin(username)

    assert errors(response)["username"] == TAKEN


@pytest.mark.parametrize(("username", "status"), [("ALICE", 200), ("alice", 200), ("BOB", 302), ("bob", 302)])
def test_admin_refuses_to_rename_to_the_username_of_another_user(boss, alice, bob, username, status):
    response = rename_in_admin(boss, bob, username)

    assert response.status_code == status
    if status == 200:
        assert errors(response)["username"] == TAKEN
    bob.refresh_from_db()
    assert bob.username == (username if status == 302 else "bob")


def test_admin_edits_a_user_whose_username_differs_only_by_case(boss, bob):
    User.objects.create_user("Bob")

    assert rename_in_admin(boss, bob, "bob").status_code == 302


def test_admin_adds_a_user(api):
    assert add_in_admin("dave").status_code == 302

    assert User.objects.get(username="dave").check_password(PASSWORD)


def test_users_whose_names_differ_by_case_still_log_in(api):
    for username in ("dave", "Dave"):
        User.objects.create_user(username, password=f"{PASSWORD} of {username}")

    responses = [
        api.post(LONG.login, {"username": username, "password": f"{PASSWORD} of {owner}"})
        for username in ("dave", "Dave")
        for owner in ("dave", "Dave")
    ]

    assert [response.status_code for response in responses] == [200, 400, 400, 200]


@pytest.mark.parametrize("username", ["\u115f", "\u1160", "\u3164", "\uffa0", "\u115f\u3164"])
def test_invisible_username_is_refused(api, username):
    response = sign_up(api, username)

    assert response.status_code == 400
    assert response.json() == {"username": INVISIBLE}
    assert not User.objects.exists()


@pytest.mark.parametrize("username", ["\u200b", "\u2800", "a\u200b", "a\u2028b", "a\x1bb", "a\tb", "a\nb", "\u202ea"])
def test_invisible_and_control_characters_are_refused(api, username):
    response = sign_up(api, username)

    assert response.status_code == 400
    assert list(response.json()) == ["username"]
    assert not User.objects.exists()


def test_admin_refuses_an_invisible_username(bob):
    assert errors(add_in_admin("\u115f"))["username"] == INVISIBLE


def test_admin_refuses_to_rename_to_an_invisible_username(boss, bob):
    assert errors(rename_in_admin(boss, bob, "\u3164"))["username"] == INVISIBLE


@pytest.mark.parametrize("username", ["日本", "محمد", "สมชาย", "नमन", "élodie", "e\u0301lodie"])
def test_letters_of_any_script_are_accepted(api, username):
    assert sign_up(api, username).status_code == 201


@pytest.mark.parametrize("username", ["नमस्ते", "বাংলা", "தமிழ்", "สวัสดี"])
def test_marks_that_combine_are_refused_as_the_help_text_says(api, username):
    response = sign_up(api, username)

    assert response.status_code == 400
    assert "Enter a valid username." in response.json()["username"][0]


@pytest.mark.django_db(transaction=True)
def test_one_of_several_sign_ups_at_once_gets_the_username(api):
    usernames = ["dave", "Dave", "DAVE", "dAVE"]

    outcomes = race([lambda username=username: sign_up(api, username) for username in usernames])

    assert sorted(response.status_code for response in outcomes) == [201, 400, 400, 400]
    assert all(response.json() == {"username": TAKEN} for response in outcomes if response.status_code == 400)
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_without_the_lock_both_sign_ups_get_the_username(api, monkeypatch):
    """Both check before either is saved. With the lock, the second one can't check before the first has ended."""
    meet = threading.Barrier(2, timeout=RACE_TIMEOUT)
    is_taken = serializers.is_taken

    def check_together(username):
        taken = is_taken(username)
        meet.wait()
        return taken

    monkeypatch.setattr(serializers, "lock_username", lambda username: None)
    monkeypatch.setattr(serializers, "is_taken", check_together)

    outcomes = race([lambda username=username: sign_up(api, username) for username in ("dave", "Dave")])

    assert [response.status_code for response in outcomes] == [201, 201]


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_sign_up_waits_for_the_admin(api):
    """The admin's form holds the lock until the end of its transaction."""
    outcomes = []

    def sign_up_elsewhere():
        try:
            outcomes.append(sign_up(api, "Dave").json())
        finally:
            connection.close()

    thread = threading.Thread(target=sign_up_elsewhere)
    with transaction.atomic():
        assert add_in_admin("dave").status_code == 302
        thread.start()
        wait_for_blocked_session(unless=lambda: bool(outcomes))
    thread.join()

    assert outcomes == [{"username": TAKEN}]


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_wait_for_the_lock_has_a_bound(api):
    somebody = connection.copy()
    somebody.set_autocommit(False)
    with somebody.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(1, hashtext('DAVE'))")
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '10ms'")

    try:
        response = sign_up(api, "dave")
    finally:
        somebody.close()
        connection.close()

    assert response.status_code == 503
    assert response.json()["code"] == "unavailable"
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_different_usernames_do_not_wait_for_each_other():
    somebody = connection.copy()
    somebody.set_autocommit(False)
    with somebody.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(1, hashtext('ERIN'))")

    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10ms'")
            lock_username("dave")
    finally:
        somebody.close()


@on_postgresql
def test_lookup_uses_the_index():
    with connection.cursor() as cursor:
        # The table is too small for PostgreSQL to use an index otherwise.
        cursor.execute("SET LOCAL enable_seqscan = off")

    plan = User.objects.filter(username__iexact="dave").explain()

    assert "authentication_username_upper" in plan


def test_username_taken_by_code_without_the_lock_is_refused(api, monkeypatch):
    """For example by manage.py createsuperuser, between the last check and the insert."""
    is_taken, validate = serializers.is_taken, serializers.SignupSerializer.validate
    checks = []

    def create_after_the_validators(serializer, account):
        User.objects.create_user(account["username"])
        return validate(serializer, account)

    def check_too_early(username):
        checks.append(username)
        return len(checks) > 1 and is_taken(username)

    monkeypatch.setattr(serializers.SignupSerializer, "validate", create_after_the_validators)
    monkeypatch.setattr(serializers, "is_taken", check_too_early)

    response = sign_up(api, "dave")

    assert response.status_code == 400
    assert response.json() == {"username": TAKEN}
    assert checks == ["dave", "dave"]
