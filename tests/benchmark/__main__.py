"""Compare the throughput of this service with other systems: ``python -m tests.benchmark``.

All systems use one temporary PostgreSQL server with durable commits, one after the other: this service, stock REST
framework (the package ``stock``), and pgbench with the same statements, which is the upper bound of the database.
wrk sends the requests and checks every response, and the seat ledger must balance after each run. Absolute numbers
depend on the machine; compare the ratios.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby, product
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.postgres import SETTINGS, Cluster

if TYPE_CHECKING:
    # At runtime this is imported later, after django.setup().
    from tests.service import Service

THIS, STOCK, PGBENCH_NAME = "this service", "stock DRF", "pgbench"
PEOPLE = 20_000
SPREAD = 500
CONNECTIONS = 32
FEW, MANY = 1_000, 100_000
# The statements of a booking, which pgbench runs as prepared statements.
PGBENCH = """
\\set n :n + 1
\\set person :first_person + :client_id * :each + :n % :each
\\set event :first_event + (:n / :each + :n + :client_id) % :events
SELECT u.id, u.username, u.is_active FROM authtoken_token t JOIN auth_user u ON u.id = t.user_id
 WHERE t.key = lpad(to_hex((:person)::bigint), 40, '0');
BEGIN;
UPDATE event_event SET seats_remaining = seats_remaining - 1
 WHERE id = :event AND seats_remaining > 0 AND start_time > statement_timestamp();
INSERT INTO reservation_reservation (event_id, user_id, created_at) VALUES (:event, :person, now()) RETURNING id;
SELECT * FROM event_event WHERE id = :event;
COMMIT;
"""


@dataclass
class Run:
    """The result of running one workload on one system for a few seconds."""

    per_second: float
    # Milliseconds of the server's CPU time per response; None for pgbench.
    cpu: float | None = None
    p50: float | None = None
    p99: float | None = None


@dataclass
class Workload:
    """The requests of a workload, and the expected responses."""

    name: str
    status: int
    text: str
    # Writes the requests of one run to a file. Returns the events whose seats or waiting lists the run changes.
    prepare: Callable[[Path], list[int]]
    # How many reservations and places on waiting lists each expected response adds or removes.
    reservations: int = 0
    places: int = 0
    of_pgbench: bool = False
    # The number of events in the list, not counting the events of the sales.
    events_listed: int = 0
    runs: dict[str, list[Run]] = field(default_factory=dict)


def key(person: int) -> str:
    return f"{person:040x}"


def line(method: str, path: str, token: str = "", body: str = "") -> str:
    return f"{method}\t{path}\t{token}\t{body}\n"


class Dataset:
    """Creates and checks the benchmark's data with the project's models."""

    def __init__(self) -> None:
        from django.contrib.auth.models import User
        from rest_framework.authtoken.models import Token

        people = User.objects.bulk_create((User(username=f"person{n}") for n in range(PEOPLE)), 1000)
        Token.objects.bulk_create((Token(key=key(person.pk), user=person) for person in people), 1000)
        self.people = [person.pk for person in people]

    def events(self, count: int, capacity: int = 1_000_000) -> list[int]:
        """Create upcoming events that start after all events of the lists."""
        from event.models import Event

        start = datetime(2900, 1, 1, tzinfo=UTC)
        made = Event.objects.bulk_create(
            (
                Event(
                    title="Sale",
                    description="Everybody wants to go there.",
                    start_time=start,
                    end_time=start + timedelta(hours=2),
                    capacity=capacity,
                    organizer_id=self.people[0],
                )
                for _ in range(count)
            ),
            1000,
        )
        return [event.pk for event in made]

    def fill_lists(self, count: int) -> None:
        """Create events until the lists contain this many, before the events of the sales."""
        from event.models import Event

        missing = count - Event.objects.filter(start_time__lt=datetime(2800, 1, 1, tzinfo=UTC)).count()
        if missing <= 0:
            return
        start = datetime(2700, 1, 1, tzinfo=UTC)
        choose = random.Random(1)
        Event.objects.bulk_create(
            (
                Event(
                    title=f"Evening {number}",
                    description="Two sets by the water. Bring a coat.",
                    start_time=(begins := start + timedelta(minutes=choose.randrange(500_000))),
                    end_time=begins + timedelta(hours=2),
                    capacity=choose.randrange(10, 500),
                    organizer_id=choose.choice(self.people[:1000]),
                )
                for number in range(missing)
            ),
            1000,
        )
        self.settle()

    def settle(self) -> None:
        """Run VACUUM ANALYZE and CHECKPOINT now, so that they don't happen during a run."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            connection.connection.wait_timeout = None
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")

    def sale(self, events: int, requests: Path) -> list[int]:
        """Write one booking request per user, spread over the events of the sale."""
        sale = self.events(events)
        with requests.open("w") as file:
            for nth, person in enumerate(self.people):
                file.write(line("POST", "/api/reservations/", key(person), f'{{"event_id": {sale[nth % events]}}}'))
        return sale

    def sold_out(self, requests: Path) -> list[int]:
        [event] = self.events(1, capacity=1)
        self.fill(event, self.people[:1], [])
        with requests.open("w") as file:
            for person in self.people[1:]:
                file.write(line("POST", "/api/reservations/", key(person), f'{{"event_id": {event}}}'))
        return [event]

    def join(self, requests: Path) -> list[int]:
        """Write one request per user to join the waiting list of a full event."""
        [event] = self.events(1, capacity=1)
        self.fill(event, self.people[:1], [])
        with requests.open("w") as file:
            for person in self.people[1:]:
                file.write(line("POST", "/api/waitlist/", key(person), f'{{"event_id": {event}}}'))
        return [event]

    def cancel(self, are_waiting: bool, requests: Path) -> list[int]:
        """Write one request per reservation of a full event to cancel it. For each of them, a user may be waiting."""
        from reservation.models import Reservation

        half = PEOPLE // 2
        holders, others = self.people[:half], self.people[half:]
        [event] = self.events(1, capacity=half)
        self.fill(event, holders, others if are_waiting else [])
        held = Reservation.objects.filter(event=event).values_list("user_id", "pk")
        with requests.open("w") as file:
            for person, reservation in held:
                file.write(line("DELETE", f"/api/reservations/{reservation}/", key(person)))
        return [event]

    def fill(self, event: int, holders: list[int], waiting: list[int]) -> None:
        """Insert reservations and places without taking seats one by one, then set the event's counts."""
        from django.db.models import F, QuerySet

        from event.models import Event
        from reservation.models import Reservation, WaitlistEntry

        for model, people in ((Reservation, holders), (WaitlistEntry, waiting)):
            QuerySet(model).bulk_create((model(event_id=event, user_id=person) for person in people), 1000)
        QuerySet(Event).filter(pk=event).update(
            seats_remaining=F("seats_remaining") - len(holders), waiting=len(waiting)
        )

    def reading(self, path: str, requests: Path) -> list[int]:
        requests.write_text(line("GET", path))
        return []

    def ledger(self, events: list[int]) -> tuple[int, int]:
        """Count the reservations and the places on waiting lists, and assert that the counts of each event match.

        In one statement, because the last requests of a run may still be in progress.
        """
        from django.db.models import Count, OuterRef, Subquery
        from django.db.models.functions import Coalesce

        from event.models import Event
        from reservation.models import Reservation, WaitlistEntry

        held, places = (
            Coalesce(Subquery(rows.values("event").annotate(number=Count("pk")).values("number")), 0)
            for rows in (
                model.objects.filter(event=OuterRef("pk")).order_by() for model in (Reservation, WaitlistEntry)
            )
        )
        counted = list(Event.objects.filter(pk__in=events).annotate(held=held, places=places))
        for event in counted:
            assert event.reserved == event.held, f"event {event.pk}: {event.reserved} seats, {event.held} reservations"
            assert event.waiting == event.places, f"event {event.pk}: {event.waiting} waiting, {event.places} places"
            assert not (event.waiting and event.seats_remaining), f"event {event.pk}: people wait beside a free seat"
        return sum(event.held for event in counted), sum(event.places for event in counted)


def ask(service: "Service", workload: Workload, stage: Dataset, seconds: int, directory: Path) -> Run:
    """Run wrk for some seconds. Raises AssertionError if a response or the ledger is wrong."""
    requests = directory / "requests"
    events = workload.prepare(requests)
    before = stage.ledger(events)
    stage.settle()
    environment = {"BENCH_REQUESTS": str(requests), "BENCH_STATUS": str(workload.status), "BENCH_TEXT": workload.text}
    if workload.status == 304:
        environment["BENCH_ETAG"] = service.request("GET", requests.read_text().split("\t")[1]).headers["ETag"]
    cpu_before = cpu_seconds(service.process.pid)
    script = Path(__file__).with_name("wrk.lua")
    done = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds}s",
            "--timeout=30s",
            "-s",
            script,
            f"http://127.0.0.1:{service.port}",
        ],
        env=os.environ | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    cpu = cpu_seconds(service.process.pid) - cpu_before
    counted = json.loads(done.stdout.splitlines()[-1])
    assert counted["wrong"] == counted["unanswered"] == 0, f"{workload.name}: {counted}"
    reservations, places = (after - earlier for after, earlier in zip(stage.ledger(events), before, strict=True))
    # When wrk stops, each connection may have one more request in progress.
    executed = range(counted["right"], counted["right"] + CONNECTIONS + 1)
    changes = {(workload.reservations * number, workload.places * number) for number in executed}
    assert (reservations, places) in changes, f"{reservations} reservations, {places} places, {counted}"
    right = counted["right"]
    return Run(right / counted["seconds"], cpu * 1000 / right, counted["p50"], counted["p99"])


def cpu_seconds(pid: int) -> float:
    """Return the CPU time used so far by a process and its descendants."""
    spent = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            spent += cpu_seconds(int(child))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return spent + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_pgbench(cluster: Cluster, workload: Workload, stage: Dataset, seconds: int, directory: Path) -> Run:
    """Run the same bookings with pgbench and prepared statements."""
    events = workload.prepare(directory / "requests")
    stage.settle()
    script = directory / "booking.sql"
    script.write_text(PGBENCH)
    variables = {
        "n": 0,
        "first_person": stage.people[0],
        "each": PEOPLE // CONNECTIONS,
        "first_event": events[0],
        "events": len(events),
    }
    done = subprocess.run(
        [
            cluster.bin / "pgbench",
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={CONNECTIONS}",
            "--jobs=1",
            f"--time={seconds}",
            f"--file={script}",
            *(f"--define={name}={value}" for name, value in variables.items()),
            f"--host={cluster.directory}",
            "--username=postgres",
            "postgres",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    [tps] = (row.split()[2] for row in done.stdout.splitlines() if row.startswith("tps"))
    assert stage.ledger(events)[0] > 0
    return Run(float(tps))


def start(stack: ExitStack) -> tuple[Cluster, Path]:
    """Start a database server, and Django in this process. Returns the server and a temporary directory."""
    cluster = Cluster()
    stack.callback(cluster.remove)
    # Durable commits. Autovacuum and checkpoints must not happen during a run.
    cluster.start(fsync="on", shared_buffers="1GB", max_wal_size="4GB", autovacuum="off")
    for name in SETTINGS:
        os.environ.pop(name, None)
    os.environ |= {
        "DATABASE_URL": cluster.url,
        "SECRET_KEY": "for-the-benchmark-only-for-the-benchmark-only-for-it",
        "DJANGO_SETTINGS_MODULE": "eventmanagement.settings",
    }
    import django

    django.setup()
    return cluster, Path(stack.enter_context(tempfile.TemporaryDirectory()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3, help="duration of each run in seconds (default: 3)")
    parser.add_argument("--repetitions", type=int, default=3, help="runs per workload and system (default: 3)")
    parser.add_argument("--only", default="", help="run only workloads whose name contains this text")
    parser.add_argument("--picture", type=Path, help="write a chart of the rates to this SVG file")
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another server to compare, on the same database; {port} is replaced by the port to listen on",
    )
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not on the PATH. Install it, for example with: apt-get install wrk")

    with ExitStack() as stack:
        cluster, directory = start(stack)
        results = compare(cluster, stack, directory, options)
    print(table(results))
    if options.picture:
        options.picture.write_text(picture(results))


def compare(cluster: Cluster, stack: ExitStack, directory: Path, options: argparse.Namespace) -> list[Workload]:
    """Run every workload on every system in turn, and repeat that."""
    import logging

    from tests.service import GUNICORN, Service

    logging.getLogger("event.seats").setLevel(logging.WARNING)
    twin = "--env=DJANGO_SETTINGS_MODULE=tests.benchmark.stock.settings", "django.core.wsgi:get_wsgi_application()"
    commands: dict[str, Sequence[str | Path]] = {
        THIS: [GUNICORN],
        STOCK: [GUNICORN, "--config=/dev/null", "--bind=127.0.0.1:{port}", "--workers=2", "--threads=8", *twin],
    }
    commands |= {name: shlex.split(command) for name, _, command in (each.partition("=") for each in options.against)}
    services = {}
    for name, command in commands.items():
        services[name] = Service(cluster, directory / f"{name}.log", command, "/api/events/")
        stack.callback(services[name].stop)
    stage = Dataset()

    event = f"/api/events/{stage.events(1)[0]}/"
    booked = '"seats_remaining":'
    page = partial(stage.reading, "/api/events/")
    workloads = [
        Workload("book, one event", 201, booked, partial(stage.sale, 1), reservations=1, of_pgbench=True),
        Workload(f"book, {SPREAD} events", 201, booked, partial(stage.sale, SPREAD), reservations=1, of_pgbench=True),
        Workload("refuse, sold out", 400, "sold_out", stage.sold_out),
        Workload("cancel, nobody waits", 204, "", partial(stage.cancel, False), reservations=-1),
        Workload("cancel, promote", 204, "", partial(stage.cancel, True), places=-1),
        Workload("join a waiting list", 201, '"position":', stage.join, places=1),
        Workload("read an event", 200, booked, partial(stage.reading, event)),
        Workload("read it, unchanged", 304, "", partial(stage.reading, event)),
        Workload(f"list, {FEW:,} events", 200, booked, page, events_listed=FEW),
        Workload(f"list, unchanged, {FEW:,}", 304, "", page, events_listed=FEW),
        Workload(f"list, {MANY:,} events", 200, booked, page, events_listed=MANY),
    ]
    workloads = [workload for workload in workloads if options.only in workload.name]
    # Only servers that send ETags can run the 304 workloads.
    tagging = [name for name, service in services.items() if "ETag" in service.request("GET", event).headers]
    for count, group in groupby(workloads, key=attrgetter("events_listed")):
        stage.fill_lists(count)
        together = list(group)
        # Systems run in turn, because the speed of a machine changes from minute to minute.
        for _, workload in product(range(options.repetitions), together):
            for name in tagging if workload.status == 304 else services:
                run = ask(services[name], workload, stage, options.seconds, directory)
                workload.runs.setdefault(name, []).append(run)
            if workload.of_pgbench:
                run = run_pgbench(cluster, workload, stage, options.seconds, directory)
                workload.runs.setdefault(PGBENCH_NAME, []).append(run)
        for workload in together:
            rates = ", ".join(f"{name} {median(runs):.0f}/s" for name, runs in workload.runs.items())
            print(f"{workload.name}: {rates}", flush=True)
    return workloads


def median(runs: list[Run], what: str = "per_second") -> float:
    return statistics.median(getattr(run, what) for run in runs)


def table(workloads: list[Workload]) -> str:
    """Return a Markdown table of the rates with their spread, and their ratios to stock REST framework."""
    lines = [
        "",
        "| workload | system | responses per second (min-max) | ratio to stock | CPU ms per response | p50, p99 ms |",
        "|---|---|---|---|---|---|",
    ]
    for workload in workloads:
        for name, runs in workload.runs.items():
            rates = [run.per_second for run in runs]
            of_server = (
                f"{median(runs, 'cpu'):.2f} | {median(runs, 'p50'):.0f}, {median(runs, 'p99'):.0f}"
                if runs[0].cpu
                else "|"
            )
            ratio = f"{median(runs) / median(workload.runs[STOCK]):.2f}" if STOCK in workload.runs else ""
            lines.append(
                f"| {workload.name} | {name} | {median(runs):.0f} ({min(rates):.0f}-{max(rates):.0f}) "
                f"| {ratio} | {of_server} |"
            )
    return "\n".join(lines)


def picture(workloads: list[Workload]) -> str:
    """Return an SVG bar chart of the rates. Bars are relative to the fastest system of each workload."""
    colors = {THIS: "#2b6cb0", STOCK: "#a0aec0", PGBENCH_NAME: "#e2e8f0"}
    shapes, y = [], 10
    for workload in workloads:
        shapes.append(f'<text x="170" y="{y + 15}" text-anchor="end" font-weight="bold">{workload.name}</text>')
        fastest = max(median(runs) for runs in workload.runs.values())
        for name, runs in workload.runs.items():
            width = 400 * median(runs) / fastest
            label = f"{median(runs):,.0f} {name}"
            shapes.append(
                f'<rect x="180" y="{y}" width="{width:.0f}" height="20" fill="{colors.get(name, "#ed8936")}"/>'
            )
            shapes.append(f'<text x="{186 + width:.0f}" y="{y + 15}">{label}</text>')
            y += 24
        y += 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{y}" font-family="sans-serif" font-size="13">'
    return "\n".join([head, f'<rect width="760" height="{y}" fill="white"/>', *shapes, "</svg>", ""])


if __name__ == "__main__":
    main()
