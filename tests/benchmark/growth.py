"""Show how cost grows with workers and rows: ``python -m tests.benchmark.growth``.

Prints two Markdown tables. The first has bookings per second, with more workers and with more reservations at the
event. The second has the median time of a response to one client, with more events, and with more attendees of one
event. It takes about two minutes and needs 3 GB of disk space.
"""

import argparse
import http.client
import statistics
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from tests.benchmark.__main__ import Dataset, Workload, ask, key, start
from tests.postgres import Cluster

WORKERS = (1, 2, 4)
RESERVATIONS = (10, 1_000, 100_000)
ROWS = (1_000, 100_000, 1_000_000)
REQUESTS = 30

# Users with tokens and reservations of one event, up to a number.
ADD_USERS = """
INSERT INTO auth_user (username, password, first_name, last_name, email, is_active, is_staff, is_superuser, date_joined)
SELECT 'holder' || n, '', '', '', '', true, false, false, now() FROM generate_series(%(first)s::int, %(last)s::int) n
"""
ADD_RESERVATIONS = """
WITH added AS (
    INSERT INTO reservation_reservation (event_id, user_id)
    SELECT %(event)s, id FROM auth_user WHERE username LIKE 'holder%%'
    ON CONFLICT DO NOTHING RETURNING 1
)
UPDATE event_event SET seats_remaining = seats_remaining - (SELECT count(*) FROM added) WHERE id = %(event)s
"""
# One event in ten thousand contains the word that is searched for.
ADD_EVENTS = """
INSERT INTO event_event (title, description, start_time, end_time, capacity, seats_remaining, organizer_id)
SELECT 'Evening ' || n, 'Two sets by the water.' || CASE WHEN n %% 10000 = 500 THEN ' Zydeco.' ELSE '' END,
       start, start + interval '2 hours', 100, 100, %(organizer)s
FROM generate_series(%(first)s::int, %(last)s::int) n,
     LATERAL (SELECT timestamptz '2700-01-01' + n * interval '7 minutes') begins (start)
"""


def execute(sql: str, **values: int) -> None:
    from django.db import connection

    from eventmanagement.database.errors import without_timeouts

    connection.ensure_connection()
    with without_timeouts(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def hold(event: int, count: int) -> None:
    """Give seats of the event to users until it has this many reservations."""
    from django.contrib.auth.models import User

    first = User.objects.filter(username__startswith="holder").count() + 1
    execute(ADD_USERS, first=first, last=count)
    execute(ADD_RESERVATIONS, event=event)


def bookings(cluster: Cluster, directory: Path, stage: Dataset, seconds: int) -> Iterable[tuple[str, str]]:
    """Yield how many bookings per second succeed with more workers, and with more reservations at the event."""
    from tests.service import Service

    for workers in WORKERS:
        service = Service(cluster, directory / "log", ready="/api/events/", WEB_CONCURRENCY=str(workers))
        rate = ask(service, Workload("", 201, "", partial(stage.sale, 500)), stage, seconds, directory).per_second
        service.stop()
        yield f"book, 500 events, {workers} worker{'s' if workers > 1 else ''}", f"{rate:,.0f}/s"
    service = Service(cluster, directory / "log", ready="/api/events/")
    for count in RESERVATIONS:

        def prepare(requests: Path, count: int = count) -> list[int]:
            events = stage.sale(1, requests)
            hold(events[0], count)
            return events

        rate = ask(service, Workload("", 201, "", prepare), stage, seconds, directory).per_second
        yield f"book, {count:,} reservations at the event", f"{rate:,.0f}/s"
    service.stop()


def reads(cluster: Cluster, directory: Path, stage: Dataset) -> Iterable[tuple[str, list[float]]]:
    """Yield the milliseconds of each kind of read, for each number of rows."""
    from tests.service import Service

    [event] = stage.events(1, capacity=2_000_000)
    paths = {
        "list of events, first page": "/api/events/",
        "list of events, page 90": "/api/events/?page=90",
        "search for a rare word": "/api/events/?search=zydeco",
        "events with seats": "/api/events/?available=true",
        "attendees of one event, first page": f"/api/events/{event}/reservations/",
        "attendees of one event, page 90": f"/api/events/{event}/reservations/?page=90",
    }
    service = Service(cluster, directory / "log", ready="/api/events/")
    times: dict[str, list[float]] = {name: [] for name in paths}
    before = 0
    for rows in ROWS:
        execute(ADD_EVENTS, organizer=stage.people[0], first=before + 1, last=rows)
        hold(event, rows)
        stage.settle()
        before = rows
        for name, path in paths.items():
            times[name].append(median_time(service.port, path, key(stage.people[0])))
    service.stop()
    yield from times.items()


def median_time(port: int, path: str, token: str) -> float:
    """Return the median time of a response, in milliseconds, over one connection."""
    spent = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Token {token}"})
            response = connection.getresponse()
            response.read()
            spent.append((time.perf_counter() - begun) * 1000)
            assert response.status == 200, f"{path}: {response.status}"
    return statistics.median(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3, help="duration of each run of bookings (default: 3)")
    options = parser.parse_args()
    with ExitStack() as stack:
        cluster, directory = start(stack)
        from tests.service import Service

        # Creates the tables.
        Service(cluster, directory / "log", ready="/healthz").stop()
        stage = Dataset()
        print("| workload | rate |\n|---|---|")
        for name, rate in bookings(cluster, directory, stage, options.seconds):
            print(f"| {name} | {rate} |", flush=True)
        print(f"\n| response, in ms | {' | '.join(f'{rows:,} rows' for rows in ROWS)} |\n|---|{'---|' * len(ROWS)}")
        for name, spent in reads(cluster, directory, stage):
            print(f"| {name} | {' | '.join(f'{time:.1f}' for time in spent)} |", flush=True)


if __name__ == "__main__":
    main()
