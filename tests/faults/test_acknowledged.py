"""No acknowledged seat or place is lost when workers and the database are killed while clients book and cancel."""

import http.client
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection

from tests.service import TIMEOUT, running_service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="tests failures of PostgreSQL")

PEOPLE = 10
EVENTS = 4
# Responses between two failures.
BETWEEN_FAULTS = 60
TABLES = {"reservations": "reservation_reservation", "waitlist": "reservation_waitlistentry"}
EVENT = {"title": "Sale", "capacity": 4, "start_time": "2999-01-01T00:00:00Z", "end_time": "2999-01-02T00:00:00Z"}


class Sale:
    """The state shared by the clients: the responses so far, and whether to stop."""

    def __init__(self):
        self.responses = Counter()
        self.changed = threading.Condition()
        self.is_over = False

    def count(self, outcome):
        with self.changed:
            self.responses[outcome] += 1
            self.changed.notify_all()

    def acknowledged(self):
        return sum(count for outcome, count in self.responses.items() if outcome in (201, 204, 400))

    def wait_for_more(self, responses):
        """Wait until this many more requests got a normal response (201, 204 or 400)."""
        with self.changed:
            enough = self.acknowledged() + responses
            assert self.changed.wait_for(lambda: self.acknowledged() >= enough, TIMEOUT), self.responses


def client(service, sale, token, events, seed):
    """Book, join waiting lists, cancel and leave at random. Returns the last acknowledged state of each event.

    The state is the path of the reservation or of the place, or None if there is neither. An event is missing if its
    last request got no response, so that its state is unknown. A place may have become a reservation meanwhile.

    A booking is one statement. If its worker is killed, the statement may still wait for a lock, and succeed after the
    next request. So after a request without a response, only an id in a later response is evidence.
    """
    choose = random.Random(seed)
    known = {}
    uncertain = set()
    is_full = False
    while not sale.is_over:
        event = choose.choice(events)
        held = known.pop(event, None)
        try:
            if held is not None:
                response = service.request("DELETE", held, None, token)
            else:
                path = "/api/waitlist/" if is_full else "/api/reservations/"
                response = service.request("POST", path, {"event_id": event}, token)
        except (OSError, http.client.HTTPException):
            sale.count("no answer")
            uncertain.add(event)
            continue
        sale.count(response.status)
        body = response.json if response.status in (201, 400) else {}
        # Somebody who finds one event full tries the next waiting list.
        is_full = body.get("code") == "sold_out"
        if response.status == 201:
            known[event] = f"{path}{body['id']}/"
        elif "reservation" in body:
            known[event] = f"/api/reservations/{body['reservation']}/"
        elif "waitlist_entry" in body:
            known[event] = f"/api/waitlist/{body['waitlist_entry']}/"
        elif event in uncertain:
            continue
        elif response.status in (204, 400) or (response.status == 404 and "waitlist" not in held):
            known[event] = None
    return known


def test_no_acknowledged_seat_is_lost(tmp_path):
    sale = Sale()
    with running_service(tmp_path / "log", THROTTLE_SIGNUP="off") as (service, cluster):
        tokens = {f"person{number}": service.sign_in(f"person{number}") for number in range(PEOPLE)}
        organizer = service.sign_in("organizer")
        events = [service.request("POST", "/api/events/", EVENT, organizer).json["id"] for _ in range(EVENTS)]

        def crash_the_database():
            cluster.stop("immediate")
            cluster.start()

        faults = [service.kill_a_worker, crash_the_database] * 3
        with ThreadPoolExecutor(PEOPLE) as threads:
            running = {
                name: threads.submit(client, service, sale, token, events, name) for name, token in tokens.items()
            }
            try:
                for fault in faults:
                    sale.wait_for_more(BETWEEN_FAULTS)
                    fault()
                sale.wait_for_more(BETWEEN_FAULTS)
            finally:
                sale.is_over = True
        with psycopg.connect(cluster.url) as session:
            kept = {
                path: {
                    (name, event): f"/api/{path}/{row}/"
                    for name, event, row in session.execute(
                        f"SELECT username, event_id, r.id FROM {table} r JOIN auth_user u ON u.id = user_id"
                    )
                }
                for path, table in TABLES.items()
            }

        acknowledged = {(name, event): held for name in running for event, held in running[name].result().items()}
        rows = kept["waitlist"] | kept["reservations"]
        # An acknowledged place may have become a seat.
        lost = {
            pair: held
            for pair, held in acknowledged.items()
            if rows.get(pair) != held and not (held and "waitlist" in held and pair in kept["reservations"])
        }
        audit = service.manage("check_seats")

    print(f"{len(faults)} faults, {dict(sale.responses)}, {len(acknowledged)} acknowledged, {len(lost)} lost")
    assert lost == {}
    assert "No differences found." in audit
    assert sale.responses.keys() <= {201, 204, 400, 404, 503, "no answer"}
