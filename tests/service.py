"""Runs the complete service as in production: gunicorn with its own PostgreSQL server."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from tests.postgres import SETTINGS, Cluster

# The default timeout in seconds.
TIMEOUT = 30
GUNICORN = Path(sys.executable).parent / "gunicorn"
CROWD = """
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
first = User.objects.count()
crowd = User.objects.bulk_create(User(username=f"person{{n}}") for n in range(first, first + {count}))
tokens = Token.objects.bulk_create(Token(user=person, key=Token.generate_key()) for person in crowd)
print(*[token.key for token in tokens])
"""


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, token: str = "") -> Response:
    """Send one request over the connection, and close the connection after the response."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
    with contextlib.closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return Response(response.status, dict(response.getheaders()), response.read().decode())


class Service:
    """A server on a free port with a database: gunicorn, or another one if its command is passed.

    ``{port}`` in the command is replaced by the port, which is also in the environment variable PORT. ``ready`` is a
    path that returns 200 when the service is ready.
    """

    def __init__(
        self,
        database: Cluster | str,
        log: Path,
        command: Sequence[str | Path] = (GUNICORN,),
        ready: str = "/readyz",
        **environment: str,
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        self.environment = inherited | {
            "DATABASE_URL": database if isinstance(database, str) else database.url,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            **environment,
        }
        self.log = log
        self.command = [part.format(port=self.port) for part in map(str, command)]
        self.ready = ready
        self.manage("migrate", "--verbosity=0")
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it is ready."""
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                self.command, cwd=settings.BASE_DIR, env=self.environment, stdout=output, stderr=output
            )
        self.wait_until_ready()

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def request(self, method: str, path: str, body: Any = None, token: str = "", timeout: float = TIMEOUT) -> Response:
        """Send a request over a new connection. Raises OSError or HTTPException if there is no response in time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        return ask(connection, method, path, body, token)

    def wait_until_ready(self) -> None:
        self.wait_for_status(self.ready, 200)

    def wait_for_status(self, path: str, status: int) -> None:
        """Wait until a GET request for the path gets this status."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.request("GET", path).status == status:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"{path} did not return {status}")

    def sign_in(self, username: str) -> str:
        """Create an account, log in, and return the token."""
        account = {"username": username, "password": "correct horse battery"}
        self.request("POST", "/api/signup/", account)
        return self.request("POST", "/api/login/", account).json["token"]

    def sign_in_crowd(self, count: int) -> list[str]:
        """Create users with tokens directly, because hashing passwords takes long. Returns the tokens."""
        return self.manage("shell", "--verbosity=0", "--command", CROWD.format(count=count)).split()

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def kill_a_worker(self) -> None:
        os.kill(self.workers()[0], signal.SIGKILL)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(TIMEOUT)


@contextlib.contextmanager
def running_service(log: Path, **environment: str) -> Iterator[tuple[Service, Cluster]]:
    """Run a service with its own database server, and stop and delete both afterwards."""
    cluster = Cluster()
    try:
        cluster.start()
        service = Service(cluster, log, **environment)
        try:
            yield service, cluster
        finally:
            service.stop()
    finally:
        cluster.remove()
