"""Normal clients that send requests during an attack and record the results."""

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from tests.service import Service

# The request timeout in seconds, like that of a load balancer's health check.
TIMEOUT = 5
EVENT = {"capacity": 100_000, "start_time": "2999-01-01T00:00:00Z", "end_time": "2999-01-02T00:00:00Z"}


def create_event(service: Service, token: str, title: str = "Sale") -> int:
    return service.request("POST", "/api/events/", EVENT | {"title": title}, token).json["id"]


class Probe:
    """Four clients in a loop: one requests /healthz, one reads an event, one books seats, one logs in."""

    def __init__(self, service: Service, tokens: list[str], event: int) -> None:
        self.is_over = threading.Event()
        self.outcomes: dict[str, Counter] = {}
        self.longest: dict[str, float] = {}
        unused = iter(tokens)
        account = {"username": f"probe{event}", "password": "correct horse battery"}
        assert service.request("POST", "/api/signup/", account).status == 201
        self.requests: dict[str, Callable[[], Any]] = {
            "health": lambda: service.request("GET", "/healthz", timeout=TIMEOUT),
            "read": lambda: service.request("GET", f"/api/events/{event}/", timeout=TIMEOUT),
            "book": lambda: service.request(
                "POST", "/api/reservations/", {"event_id": event}, next(unused), timeout=TIMEOUT
            ),
            "login": lambda: service.request("POST", "/api/login/", account, timeout=TIMEOUT),
        }

    def ask(self, name: str) -> None:
        """Send one kind of request every 20 ms until the attack ends, at least once."""
        self.outcomes[name], self.longest[name] = Counter(), 0.0
        while True:
            began = time.monotonic()
            try:
                outcome = self.requests[name]().status
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
            self.outcomes[name][outcome] += 1
            self.longest[name] = max(self.longest[name], time.monotonic() - began)
            if self.is_over.wait(0.02):
                return

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send requests while the block runs."""
        with ThreadPoolExecutor(len(self.requests)) as threads:
            asking = [threads.submit(self.ask, name) for name in self.requests]
            try:
                yield
            finally:
                self.is_over.set()
                for each in asking:
                    each.result()

    def watch_drip(self, clients: list[socket.socket], first: bytes, more: bytes, seconds: float) -> None:
        """Let each client send ``first``, then ``more`` every half second, while the probe sends requests."""
        for client in clients:
            client.sendall(first)
        with self.running():
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                for client in clients if more else []:
                    # The server may have closed the connection.
                    with suppress(OSError):
                        client.send(more)
                time.sleep(0.5)

    def report(self, attack: str) -> None:
        told = ", ".join(
            f"{name} {dict(outcomes)} longest {self.longest[name]:.3f} s" for name, outcomes in self.outcomes.items()
        )
        print(f"\n{attack}: {told}")

    def assert_unaffected(self) -> None:
        assert self._statuses() == {"health": {200}, "read": {200}, "book": {201}, "login": {200}}

    def assert_only_logins_noticed(self) -> None:
        """Assert that at most logins were affected (503 or a timeout), and no other requests."""
        statuses = self._statuses()
        logins = statuses.pop("login")
        assert logins <= {200, 503, "TimeoutError"}
        assert statuses == {"health": {200}, "read": {200}, "book": {201}}

    def _statuses(self) -> dict[str, set]:
        return {name: set(outcomes) for name, outcomes in self.outcomes.items()}
