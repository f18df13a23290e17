"""Many clients that send expensive requests do not affect other clients."""

import http.client
import itertools
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from tests.hostile.probe import Probe, create_event
from tests.service import running_service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="tests the server, so one run is enough")

# In seconds: the duration of an attack, and an attacker's request timeout.
ATTACK, ATTACKER_TIMEOUT = float(os.environ.get("HOSTILE_SECONDS", 1.5)), 60
# The number of events that the searches go through.
EVENTS = int(os.environ.get("HOSTILE_EVENTS", 20_000))
INSERT_EVENTS = """
INSERT INTO event_event (title, description, start_time, end_time, capacity, seats_remaining, organizer_id)
SELECT 'Concert number ' || n, repeat(md5(n::text) || ' ', 9), now() + n * interval '1 minute',
       now() + n * interval '1 minute' + interval '1 hour', 10, 10, (SELECT min(id) FROM auth_user)
FROM generate_series(1, %s) n
"""
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    log = tmp_path_factory.mktemp("requests") / "log"
    with running_service(log, THROTTLE_LOGIN="off", THROTTLE_LOGIN_ADDRESS="off", THROTTLE_SIGNUP="off") as running:
        yield running


@pytest.fixture(scope="module")
def service(running):
    return running[0]


@pytest.fixture(scope="module")
def people(service):
    """An iterator of tokens; each is used once."""
    return iter(service.sign_in_crowd(10_000))


@pytest.fixture
def probe(service, people):
    tokens = list(itertools.islice(people, 300))
    return Probe(service, tokens, create_event(service, tokens[0]))


@contextmanager
def attackers(clients):
    """Run each client in a loop until the block ends. Yields a counter of the outcomes, complete after the block."""
    is_over, outcomes = threading.Event(), Counter()

    def attack(client):
        while not is_over.is_set():
            try:
                outcome = client().status
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
            outcomes[outcome] += 1

    with ThreadPoolExecutor(len(clients)) as threads:
        attacking = [threads.submit(attack, client) for client in clients]
        try:
            yield outcomes
        finally:
            is_over.set()
            for each in attacking:
                each.result()


def resist(probe, name, clients, of_passwords=False):
    """Run an attack while the probe sends requests. Returns the attackers' outcomes.

    During an attack on passwords, which are hashed one at a time, the probe's logins may time out.
    """
    with attackers(clients) as outcomes, probe.running():
        time.sleep(ATTACK)
    probe.report(f"{len(clients)} clients {name}, {dict(outcomes)}")
    (probe.assert_only_logins_noticed if of_passwords else probe.assert_unaffected)()
    return outcomes


def posting(service, path, body, token=""):
    return lambda: service.request("POST", path, body, token, ATTACKER_TIMEOUT)


def getting(service, path):
    return lambda: service.request("GET", path, timeout=ATTACKER_TIMEOUT)


@pytest.mark.parametrize("size", [40_000, 180_000])
@pytest.mark.parametrize("path", ["/api/login/", "/api/signup/"])
def test_usernames_of_combining_marks(service, probe, path, size):
    # In non-canonical order, which takes quadratic time to normalize.
    body = {"username": "a" + "\u0315\u0300" * (size // 4), "password": PASSWORD}

    outcomes = resist(probe, f"send usernames of {size} bytes to {path}", [posting(service, path, body)] * 4)

    assert set(outcomes) == {400}


def test_guesses_of_passwords(service, probe):
    guesses = [posting(service, "/api/login/", {"username": f"person{n}", "password": PASSWORD}) for n in range(30)]

    outcomes = resist(probe, "guess passwords", guesses, of_passwords=True)

    assert set(outcomes) <= {400, 503}


def test_successful_logins_are_limited(tmp_path):
    with running_service(tmp_path / "log") as (service, _):
        tokens = service.sign_in_crowd(300)
        probe = Probe(service, tokens, create_event(service, tokens[0]))
        service.sign_in("mallory")
        logins = [posting(service, "/api/login/", {"username": "mallory", "password": PASSWORD})] * 60

        outcomes = resist(probe, "log in with the right password", logins, of_passwords=True)

    assert set(outcomes) <= {200, 429, 503}
    # Ten times the limit of THROTTLE_LOGIN, minus the login in sign_in().
    assert outcomes[200] <= 99


@pytest.mark.parametrize("path", ["/schema/", "/docs/swagger/", "/admin/login/"])
def test_pages_for_anybody(service, probe, path):
    outcomes = resist(probe, f"read {path}", [getting(service, path)] * 16)

    assert set(outcomes) == {200}


@pytest.fixture(scope="module")
def many_events(running, people):
    next(people)
    with psycopg.connect(running[1].url, autocommit=True) as session:
        session.execute(INSERT_EVENTS, [EVENTS])
        session.execute("VACUUM ANALYZE event_event")


@pytest.mark.parametrize(
    "query",
    [
        "search=zq",
        "search=" + "+".join("abcdef"),
        "search=abc+bcd+cde+def+efa+fab",
        "search=concert",
        "ordering=seats_remaining",
        "page=900",
        "ordering=-seats_remaining&available=true&page=1500",
    ],
)
def test_searches_and_lists(service, many_events, probe, query):
    outcomes = resist(probe, f"ask for ?{query}", [getting(service, f"/api/events/?{query}")] * 50)

    assert set(outcomes) <= {200, 404, 503}


def test_edits_of_own_event(service, people, probe):
    token = next(people)
    event = create_event(service, token, "Mine")
    edit = {"description": "\u6f22" * 10_000}

    outcomes = resist(
        probe,
        "edit one event",
        [lambda: service.request("PATCH", f"/api/events/{event}/", edit, token, ATTACKER_TIMEOUT)] * 50,
    )

    assert set(outcomes) <= {200, 503}


def test_event_whose_row_is_locked(running, people, probe):
    service, cluster = running
    tokens = list(itertools.islice(people, 100))
    event = create_event(service, tokens[0], "Locked")
    with psycopg.connect(cluster.url) as session:
        session.execute("SELECT FROM event_event WHERE id = %s FOR UPDATE", [event])
        clients = [posting(service, "/api/reservations/", {"event_id": event}, token) for token in tokens]
        outcomes = resist(probe, "book an event whose row is locked", clients)

    assert set(outcomes) == {503}
    assert service.request("POST", "/api/reservations/", {"event_id": event}, next(people)).status == 201


def test_hundred_users_of_an_unlocked_event(service, people, probe):
    tokens = list(itertools.islice(people, 100))
    event = create_event(service, tokens[0], "Ordinary")

    def book_and_cancel(token):
        booked = service.request("POST", "/api/reservations/", {"event_id": event}, token)
        return service.request("DELETE", f"/api/reservations/{booked.json['id']}/", None, token)

    clients = [lambda token=token: book_and_cancel(token) for token in tokens]
    outcomes = resist(probe, "book and cancel", clients)

    assert set(outcomes) == {204}
