"""Fails over a cluster of three PostgreSQL servers under Patroni while clients book: ``python -m tests.failover``.

Three etcd servers, three Patroni servers with deploy/patroni.yml, and HAProxy with deploy/haproxy-postgres.cfg run on
one machine, with the service in front. Afterwards, every acknowledged booking and cancellation is looked up in the
database. The exit status is 1 if one is lost.
"""

import argparse
import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg

from tests.driver import Driver
from tests.postgres import find_binaries
from tests.service import Service

BASE = Path(__file__).resolve().parents[2]
NODES = ("pg1", "pg2", "pg3")
PASSWORD = "for-this-test-only"
CLIENTS = 8
# Enough for all bookings during a fault. A client stops when it has used its tokens.
TOKENS = 10_000
# In seconds: Patroni needs up to ttl (20) and a few loops for a failover.
TIMEOUT = 90
EVENT = {
    "title": "Concert",
    "capacity": 100_000,
    "start_time": "2999-01-01T00:00:00Z",
    "end_time": "2999-01-02T00:00:00Z",
}


def free_ports(count: int) -> list[int]:
    """Return ports that are free at this moment. Opens all before it closes any, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, psycopg.OperationalError, ValueError):
            if condition():
                return
        time.sleep(0.2)
    raise TimeoutError(what)


class Node:
    """One PostgreSQL server with its Patroni."""

    def __init__(self, name: str, directory: Path, etcd: list[int], account: pwd.struct_passwd, patroni: str) -> None:
        self.name = name
        # PostgreSQL refuses to run as root. In a user namespace, this user and the owner of its files appear as another
        # user.
        other = f"--map-user={account.pw_uid}", f"--map-group={account.pw_gid}"
        self.command = ["unshare", "--user", *other, patroni, str(directory / "patroni.yml")]
        self.postgres, self.api = free_ports(2)
        self.data = directory / name
        self.log = directory / f"{name}.log"
        address = f"127.0.0.1:{self.postgres}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PATRONI_NAME": name,
            "PATRONI_ETCD3_HOSTS": ",".join(f"'127.0.0.1:{port}'" for port in etcd),
            "PATRONI_RESTAPI_LISTEN": f"127.0.0.1:{self.api}",
            "PATRONI_RESTAPI_CONNECT_ADDRESS": f"127.0.0.1:{self.api}",
            "PATRONI_POSTGRESQL_LISTEN": address,
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": address,
            "PATRONI_POSTGRESQL_DATA_DIR": str(self.data),
            "PATRONI_POSTGRESQL_BIN_DIR": str(find_binaries()),
            "PATRONI_SUPERUSER_USERNAME": "postgres",
            "PATRONI_SUPERUSER_PASSWORD": PASSWORD,
            "PATRONI_REPLICATION_USERNAME": "replicator",
            "PATRONI_REPLICATION_PASSWORD": PASSWORD,
            "PATRONI_REWIND_USERNAME": "rewind",
            "PATRONI_REWIND_PASSWORD": PASSWORD,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def role(self) -> str:
        """Return the role that Patroni reports: primary, sync_standby, replica, or "" if it does not respond."""
        with (
            contextlib.suppress(OSError, ValueError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.api}/patroni", timeout=2) as response,
        ):
            told = json.load(response)
            if told.get("state") == "running":
                return "sync_standby" if told.get("sync_standby") else told["role"]
        return ""

    def processes(self) -> list[int]:
        """Return Patroni's process and all of PostgreSQL's, which Patroni starts in a session of their own."""
        assert self.process
        with contextlib.suppress(OSError, ValueError, IndexError):
            postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
            return [self.process.pid, postmaster, *map(int, children)]
        return [self.process.pid]

    def signal(self, number: signal.Signals) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.signal(signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def running(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def run_etcd(stack: ExitStack, directory: Path) -> list[int]:
    """Run three etcd servers. Returns their client ports."""
    ports = free_ports(6)
    clients, peers = ports[:3], ports[3:]
    members = ",".join(f"e{n}=http://127.0.0.1:{peer}" for n, peer in enumerate(peers))
    for n, (client, peer) in enumerate(zip(clients, peers, strict=True)):
        addresses = {
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
        }
        command = ["etcd", f"--name=e{n}", f"--data-dir={directory / f'etcd{n}'}", f"--initial-cluster={members}"]
        command += [f"--{name}=http://127.0.0.1:{port}" for name, port in addresses.items()]
        stack.enter_context(running(command, directory / f"etcd{n}.log"))
    return clients


class Cluster:
    """The three nodes behind HAProxy."""

    def __init__(self, stack: ExitStack, directory: Path, patroni: str) -> None:
        account = next(user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))
        etcd = run_etcd(stack, directory)
        # This user can't write to PostgreSQL's default directory of Unix sockets.
        text = (BASE / "deploy" / "patroni.yml").read_text()
        settings = f"postgresql:\n  parameters:\n    unix_socket_directories: {directory}\n  pg_hba:"
        (directory / "patroni.yml").write_text(text.replace("postgresql:\n  pg_hba:", settings))
        self.nodes = []
        for name in NODES:
            node = Node(name, directory, etcd, account, patroni)
            node.data.mkdir(mode=0o700)
            stack.callback(node.stop)
            node.start()
            self.nodes.append(node)
        [self.port] = free_ports(1)
        haproxy = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") or "haproxy"
        environment = os.environ | {"BIND": f"127.0.0.1:{self.port}"}
        for n, node in enumerate(self.nodes, start=1):
            environment |= {f"POSTGRES{n}": f"127.0.0.1:{node.postgres}", f"PATRONI{n}": str(node.api)}
        config = str(BASE / "deploy" / "haproxy-postgres.cfg")
        stack.enter_context(running([haproxy, "-db", "-f", config], directory / "haproxy.log", environment))
        self.url = f"postgres://postgres:{PASSWORD}@127.0.0.1:{self.port}/postgres"
        self.wait_until_whole()

    def leader(self) -> Node:
        return next(node for node in self.nodes if node.role() == "primary")

    def wait_until_whole(self) -> None:
        """Wait until there are a leader, a synchronous standby and a replica, and HAProxy connects to the leader."""

        def is_whole() -> bool:
            roles = sorted(node.role() for node in self.nodes)
            with psycopg.connect(self.url, connect_timeout=2) as session:
                session.execute("SELECT 1")
            return roles == ["primary", "replica", "sync_standby"]

        wait_until(is_whole, "the cluster is not complete")


def kill_the_leader(cluster: Cluster, driver: Driver) -> None:
    leader = cluster.leader()
    leader.signal(signal.SIGKILL)
    driver.wait_for(50, TIMEOUT)
    # Patroni rewinds a server only if the new leader has written a checkpoint since its promotion.
    with psycopg.connect(cluster.url, autocommit=True) as session:
        session.execute("CHECKPOINT")
    leader.start()


def freeze_the_leader(cluster: Cluster, driver: Driver) -> None:
    """Freeze the leader's PostgreSQL and its Patroni until another one leads, then thaw them."""
    leader = cluster.leader()
    leader.signal(signal.SIGSTOP)
    driver.wait_for(50, TIMEOUT)
    leader.signal(signal.SIGCONT)
    driver.wait_for(50, TIMEOUT)


def switch_over(cluster: Cluster, driver: Driver) -> None:
    """Change the leader as an administrator would."""
    leader = cluster.leader()
    candidate = next(node for node in cluster.nodes if node.role() == "sync_standby")
    request = urllib.request.Request(
        f"http://127.0.0.1:{leader.api}/switchover",
        json.dumps({"leader": leader.name, "candidate": candidate.name}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        response.read()
    driver.wait_for(50, TIMEOUT)


FAULTS = {"leader killed": kill_the_leader, "leader frozen and thawed": freeze_the_leader, "switchover": switch_over}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=1, help="how often each fault is tried (default: 1)")
    parser.add_argument("--patroni", default=shutil.which("patroni"), help="the program patroni, 4.1 or newer")
    options = parser.parse_args()
    if missing := [
        name for name in ("etcd", "haproxy") if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    ]:
        sys.exit(f"Missing: {', '.join(missing)}. On Debian: apt-get install etcd-server haproxy")

    os.environ |= {"SECRET_KEY": PASSWORD * 4, "DJANGO_SETTINGS_MODULE": "eventmanagement.settings"}
    lost = 0
    print(
        "| fault | requests by status | acknowledged and lost | longest time without a write, s | longest request, s |"
    )
    print("|---|---|---|---|---|")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="failover-")))
        cluster = Cluster(stack, directory, options.patroni)
        limits = {"STATEMENT_TIMEOUT": "4s", "DATABASE_WAIT": "5s", "WEB_CONCURRENCY": "2"}
        service = Service(cluster.url, directory / "service.log", **limits)
        stack.callback(service.stop)
        token = service.sign_in("organizer")
        for name in [*FAULTS] * options.repetitions:
            cluster.wait_until_whole()
            event = service.request("POST", "/api/events/", EVENT, token).json["id"]
            with Driver(service, event, service.sign_in_crowd(TOKENS), CLIENTS) as driver:
                driver.wait_for(50, TIMEOUT)
                FAULTS[name](cluster, driver)
            cluster.wait_until_whole()
            gone = driver.lost(cluster.url)
            lost += len(gone)
            statuses = ", ".join(f"{status}: {count}" for status, count in sorted(driver.statuses.items(), key=str))
            print(
                f"| {name} | {statuses} | {len(gone)} | {driver.longest_gap:.1f} | {driver.longest_request:.1f} |",
                flush=True,
            )
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
