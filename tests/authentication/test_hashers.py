"""Each process hashes one password at a time."""

import threading

import pytest
from django.contrib.auth import hashers as django_hashers
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User

from authentication import hashers
from authentication.hashers import MAX_PASSWORD_LENGTH
from eventmanagement.database.errors import Unavailable
from tests.conftest import LONG
from tests.races import race

PASSWORD = "correct horse battery"
ALGORITHMS = {"scrypt": "ScryptPasswordHasher", "pbkdf2_sha256": "PBKDF2PasswordHasher"}


@pytest.fixture
def cheap(monkeypatch):
    """Use cheap hash parameters."""
    monkeypatch.setattr(hashers.ScryptPasswordHasher, "work_factor", 2)
    monkeypatch.setattr(hashers.PBKDF2PasswordHasher, "iterations", 2)


@pytest.fixture
def impatient(monkeypatch):
    """Don't wait for the semaphore."""
    monkeypatch.setattr(hashers, "HASH_WAIT_TIMEOUT", 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hash_format_is_compatible_with_django(cheap, algorithm):
    hasher = getattr(hashers, ALGORITHMS[algorithm])()
    stock = getattr(django_hashers, ALGORITHMS[algorithm])()
    stored = make_password(PASSWORD, hasher=algorithm)

    assert stored.startswith(f"{algorithm}$")
    assert stock.verify(PASSWORD, stored)
    assert hasher.verify(PASSWORD, stock.encode(PASSWORD, "salt"))
    assert not hasher.verify("wrong", stored)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_only_one_thread_hashes(cheap, monkeypatch, algorithm):
    """While a thread hashes, it checks that no other thread hashes or could start hashing."""
    stock = getattr(django_hashers, ALGORITHMS[algorithm])
    encode = stock.encode
    inside = threading.Lock()
    was_alone = []

    def watch(hasher, *args):
        is_first = inside.acquire(blocking=False)
        another_could_begin = hashers.hashing_slot.acquire(blocking=False)
        was_alone.append(is_first and not another_could_begin)
        try:
            return encode(hasher, *args)
        finally:
            if another_could_begin:
                hashers.hashing_slot.release()
            if is_first:
                inside.release()

    monkeypatch.setattr(stock, "encode", watch)

    outcomes = race([lambda: make_password(PASSWORD, hasher=algorithm)] * 8)

    assert was_alone == [True] * 8
    assert all(stock().verify(PASSWORD, stored) for stored in outcomes)


def test_semaphore_wait_times_out(cheap, impatient):
    with hashers.hashing_slot, pytest.raises(Unavailable):
        make_password(PASSWORD)


def test_timeout_is_passed_to_semaphore(cheap, monkeypatch):
    waits = []

    class Busy:
        def acquire(self, timeout):
            waits.append(timeout)

    monkeypatch.setattr(hashers, "hashing_slot", Busy())

    with pytest.raises(Unavailable):
        make_password(PASSWORD)

    assert waits == [3]


def test_semaphore_is_released(cheap, impatient):
    make_password(PASSWORD)

    assert make_password(PASSWORD)


def test_semaphore_is_released_after_error(cheap, impatient):
    with pytest.raises(ValueError, match="salt"):
        make_password(PASSWORD, salt="$")

    assert make_password(PASSWORD)


@pytest.mark.parametrize("route", [LONG.login, LONG.signup])
def test_api_returns_503_after_timeout(api, impatient, route):
    with hashers.hashing_slot:
        response = api.post(route, {"username": "dave", "password": PASSWORD})

    assert response.status_code == 503
    assert response.json()["code"] == "unavailable"
    assert response["Retry-After"]
    assert not User.objects.exists()


def test_admin_returns_503_after_timeout(client, impatient):
    with hashers.hashing_slot:
        response = client.post("/admin/login/", {"username": "root", "password": PASSWORD})

    assert response.status_code == 503


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_password_that_is_too_long_matches_nothing_and_is_not_hashed(cheap, impatient, algorithm):
    longest = "x" * MAX_PASSWORD_LENGTH
    stored = make_password(longest, hasher=algorithm)
    assert check_password(longest, stored)

    with hashers.hashing_slot:
        assert not check_password(longest + "x", stored)
