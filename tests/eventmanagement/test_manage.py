"""Django's own commands print a sentence if the database can't be used."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

CREATE_ADMIN = ("createsuperuser", "--no-input", "--username=boss", "--email=boss@example.org")
UNREACHABLE = "postgres://nobody@127.0.0.1:1/nothing"


def manage(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DATABASE_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "command", [CREATE_ADMIN, ("changepassword", "boss"), ("clearsessions",)], ids=lambda command: command[0]
)
def test_command_on_an_unmigrated_database_says_so(command, tmp_path):
    done = manage(f"sqlite:///{tmp_path / 'empty'}", *command)

    assert done.returncode == 1
    problem, advice = done.stderr.splitlines()[-2:]
    assert problem.startswith("The database can't be used: no such table: ")
    assert "run: manage.py migrate" in advice
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [CREATE_ADMIN, ("migrate",)], ids=lambda command: command[0])
def test_command_without_a_database_says_so(command):
    done = manage(UNREACHABLE, *command)

    assert done.returncode == 1
    assert done.stderr.startswith("The database can't be used: connection failed: ")
    assert len(done.stderr.splitlines()) == 2


def test_traceback_is_shown_on_request():
    done = manage(UNREACHABLE, "migrate", "--traceback")

    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
