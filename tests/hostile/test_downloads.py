"""Downloads of a long list of attendees: the memory they use, how long they take, and other clients meanwhile.

Also the longest calendar of a user.
"""

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

from tests.hostile.probe import Probe, create_event
from tests.hostile.test_requests import resist
from tests.service import running_service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="tests the server, so one run is enough")

# The numbers of attendees of two events.
FEW, ATTENDEES = 5_000, int(os.environ.get("HOSTILE_ATTENDEES", 100_000))
INSERT_ATTENDEES = """
WITH crowd AS (
    INSERT INTO auth_user (password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
                           date_joined)
    SELECT '', false, 'attendee' || n || '.' || %(event)s, '', '', '', false, true, now()
    FROM generate_series(1, %(count)s) n
    RETURNING id
), seats AS (
    UPDATE event_event SET capacity = %(count)s, seats_remaining = 0 WHERE id = %(event)s
)
INSERT INTO reservation_reservation (event_id, user_id, created_at) SELECT %(event)s, id, now() FROM crowd
"""

BOOK_ALL = """
WITH events AS (
    INSERT INTO event_event (title, description, start_time, end_time, capacity, seats_remaining, organizer_id)
    SELECT 'Concert', repeat('\U0001f3b7', 10000), now() + n * interval '1 hour', now() + n * interval '2 hours', 1, 0,
           (SELECT user_id FROM authtoken_token WHERE key = %(token)s)
    FROM generate_series(1, 1000) n
    RETURNING id, organizer_id
)
INSERT INTO reservation_reservation (event_id, user_id) SELECT id, organizer_id FROM events
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    log = tmp_path_factory.mktemp("downloads") / "log"
    with running_service(log, WEB_CONCURRENCY="1") as running:
        yield running


@pytest.fixture(scope="module")
def tokens(running):
    return running[0].sign_in_crowd(300)


@pytest.fixture(scope="module")
def download(running, tokens):
    """Return a function that downloads the attendees of an event with many or with few of them."""
    service, cluster = running
    events = {count: create_event(service, tokens[0], "Stadium") for count in (FEW, ATTENDEES)}
    with psycopg.connect(cluster.url, autocommit=True) as session:
        for count, event in events.items():
            session.execute(INSERT_ATTENDEES, {"count": count, "event": event})
        session.execute("VACUUM ANALYZE")
    return lambda count: service.request(
        "GET", f"/api/events/{events[count]}/reservations/?format=csv", None, tokens[0]
    )


def peak_memory(service):
    """Return the highest resident memory of the worker since the last call, in MiB."""
    [worker] = service.workers()
    process = Path(f"/proc/{worker}")
    [line] = [line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM")]
    # Resets the highest value to the current one.
    (process / "clear_refs").write_text("5")
    return int(line.split()[1]) / 1024


def test_memory_does_not_grow_with_the_rows(running, download):
    service, _ = running
    download(FEW)
    few = peak_memory(service)
    begin = time.monotonic()

    response = download(ATTENDEES)

    seconds, used = time.monotonic() - begin, peak_memory(service) - few
    size = len(response.text) / 2**20
    print(f"\n{ATTENDEES:,} attendees: {size:.1f} MiB in {seconds:.1f} s, {used:.1f} MiB more memory than for {FEW:,}")
    assert response.status == 200
    assert response.text.count("\r\n") == ATTENDEES + 1
    assert used < 4


def test_downloads_do_not_affect_others(running, tokens, download):
    service, _ = running
    probe = Probe(service, tokens, create_event(service, tokens[0]))

    outcomes = resist(probe, "download the attendees", [lambda: download(ATTENDEES)] * 8)

    assert set(outcomes) <= {200, 503}


def test_calendars_do_not_affect_others(running, tokens):
    service, cluster = running
    with psycopg.connect(cluster.url) as session:
        session.execute(BOOK_ALL, {"token": tokens[-1]})
    path = urlsplit(service.request("POST", "/api/calendar/", token=tokens[-1]).json["url"]).path
    probe = Probe(service, tokens[150:], create_event(service, tokens[0], "Other"))

    outcomes = resist(probe, "read a calendar with 500 entries", [lambda: service.request("GET", path)] * 8)

    assert set(outcomes) <= {200, 503}
    assert outcomes[200]
