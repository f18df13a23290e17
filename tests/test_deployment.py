"""Runs the commands from docs/deployment.md that back up and restore a database."""

import os
import re
import subprocess
import sys

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests.postgres import Cluster

DEPLOYMENT = (settings.BASE_DIR / "docs" / "deployment.md").read_text()
COUNT = "SELECT (SELECT count(*) FROM event_event), (SELECT count(*) FROM reservation_reservation)"


def commands(title):
    """Return the commands without containers: the last block of the section."""
    [section] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", DEPLOYMENT, re.DOTALL | re.MULTILINE)
    return re.findall(r"```bash\n(.*?)```", section, re.DOTALL)[-1]


@pytest.fixture
def cluster():
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="the commands are for PostgreSQL")
def test_backup_is_restored(cluster, tmp_path):
    server = cluster.url.removesuffix("/postgres").replace("postgres@", "eventmanagement@")
    environment = os.environ | {
        "PATH": f"{cluster.bin}:{os.environ['PATH']}",
        "PGHOST": str(cluster.directory),
        "PGUSER": "postgres",
        "DATABASE_URL": f"{server}/eventmanagement",
    }

    def run(script):
        script = script.replace("postgres://eventmanagement@localhost", server)
        script = script.replace(".venv/bin/python", sys.executable).replace("backup.dump", f"{tmp_path}/backup.dump")
        return subprocess.run(
            ["bash", "-eu", "-c", script],
            cwd=settings.BASE_DIR,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    run("createuser eventmanagement; createdb --owner=eventmanagement eventmanagement")
    run(".venv/bin/python manage.py migrate; .venv/bin/python manage.py seed_demo --events 3")

    run(commands("Backups"))
    output = run(commands("Restoring a backup"))

    assert "No migrations to apply." in output
    assert "No differences found." in output
    counts = []
    for name in ("eventmanagement", "eventmanagement_restored"):
        with psycopg.connect(dbname=name, host=str(cluster.directory), user="postgres") as database:
            counts.append(database.execute(COUNT).fetchone())
    assert counts[0] == counts[1]
    assert min(counts[0]) > 0
