"""A flash sale over real HTTP: many concurrent bookings, and exactly the available seats are sold."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from tests.service import running_service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="runs on PostgreSQL only")

PEOPLE = 200
SEATS = 50
SALES = 8
EVENT = {"title": "Sale", "capacity": SEATS, "start_time": "2999-01-01T00:00:00Z", "end_time": "2999-01-02T00:00:00Z"}


def test_every_sale_sells_all_seats(tmp_path):
    with running_service(tmp_path / "log") as (service, _), ThreadPoolExecutor(PEOPLE) as crowd:
        tokens = service.sign_in_crowd(PEOPLE)
        outcomes = []
        for _ in range(SALES):
            event = service.request("POST", "/api/events/", EVENT, tokens[0]).json["id"]

            def book(token, event=event):
                response = service.request("POST", "/api/reservations/", {"event_id": event}, token)
                return response.json.get("code", response.status)

            outcomes.append(Counter(crowd.map(book, tokens)))
        audit = service.manage("check_seats")

    print(f"{SALES} sales of {SEATS} seats to {PEOPLE} people: {outcomes}")
    assert outcomes == [{201: SEATS, "sold_out": PEOPLE - SEATS}] * SALES
    assert "No differences found." in audit
