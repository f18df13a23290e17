"""Clients that book and cancel, and that remember which writes were acknowledged."""

import threading
import time
from collections import Counter
from contextlib import suppress
from http.client import HTTPException

import psycopg

from tests.service import TIMEOUT, Service


class Driver:
    """Books seats of one event with one thread per client, until the block ends or the tokens are used up.

    Each token books once. A reservation whose id is divisible by three is then cancelled. ``known`` has the last
    acknowledged state of each token: the reservation's id, or None after a cancellation. It leaves out tokens whose
    last write was not acknowledged.
    """

    def __init__(self, service: Service, event: int, tokens: list[str], clients: int) -> None:
        self.service = service
        self.event = event
        self.known: dict[str, int | None] = {}
        self.statuses: Counter[int | str] = Counter()
        # In seconds: the longest request, and the longest time between two acknowledged writes.
        self.longest_request = self.longest_gap = 0.0
        self._last = time.monotonic()
        self._changed = threading.Condition()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(tokens[n::clients],)) for n in range(clients)]

    def __enter__(self) -> "Driver":
        self._last = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    @property
    def acknowledged(self) -> int:
        return self.statuses[201] + self.statuses[204]

    def wait_for(self, more: int, timeout: float = TIMEOUT) -> None:
        """Wait until this many more writes have been acknowledged. Raises TimeoutError."""
        with self._changed:
            goal = self.acknowledged + more
            if not self._changed.wait_for(lambda: self.acknowledged >= goal, timeout):
                raise TimeoutError(f"no {more} writes within {timeout} seconds: {self.statuses}")

    def _run(self, tokens: list[str]) -> None:
        for token in tokens:
            if self._is_over.is_set():
                return
            reservation = self._write(token, "POST", "/api/reservations/", {"event_id": self.event})
            if reservation and reservation % 3 == 0:
                self._write(token, "DELETE", f"/api/reservations/{reservation}/")

    def _write(self, token: str, method: str, path: str, body: object = None) -> int | None:
        self.known.pop(token, None)
        begin = time.monotonic()
        status: int | str = "no response"
        reserved = None
        with suppress(OSError, HTTPException):
            response = self.service.request(method, path, body, token)
            status = response.status
            if status in (201, 204):
                reserved = self.known[token] = response.json["id"] if status == 201 else None
        end = time.monotonic()
        with self._changed:
            self.statuses[status] += 1
            self.longest_request = max(self.longest_request, end - begin)
            if status in (201, 204):
                self.longest_gap = max(self.longest_gap, end - self._last)
                self._last = end
                self._changed.notify_all()
        if status == 503:
            # Pause before the next request, as a client would.
            time.sleep(0.1)
        return reserved

    def lost(self, url: str) -> dict[str, int | None]:
        """Return the acknowledged states that the database does not have.

        Raises AssertionError if the event's seats do not match its reservations.
        """
        with psycopg.connect(url) as session:
            rows = session.execute(
                "SELECT key, id FROM reservation_reservation JOIN authtoken_token USING (user_id) WHERE event_id = %s",
                [self.event],
            )
            held: dict[str, int] = dict(rows.fetchall())
            query = "SELECT capacity - seats_remaining FROM event_event WHERE id = %s"
            assert session.execute(query, [self.event]).fetchone() == (len(held),)
        return {token: state for token, state in self.known.items() if held.get(token) != state}
