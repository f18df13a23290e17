"""``make`` lists its targets, and ``make run`` checks the port."""

import os
import re
import shutil
import subprocess

import pytest
from django.conf import settings

MAKEFILE = settings.BASE_DIR / "Makefile"


def make(*arguments):
    """Run make as from a shell, also if ``make test`` runs the tests."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "PORT")}
    return subprocess.run(
        ["make", *arguments], cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.skipif(not shutil.which("make"), reason="this needs make")
def test_make_lists_every_target_with_its_purpose():
    [phony] = re.findall(r"^\.PHONY: (.+)$", MAKEFILE.read_text(), re.MULTILINE)

    done = make()

    assert done.returncode == 0
    listed = re.findall(r"^make ([\w-]+) +\S.+$", done.stdout, re.MULTILINE)
    assert listed == phony.split()
    assert len(done.stdout.splitlines()) == len(listed)


@pytest.mark.skipif(not shutil.which("make"), reason="this needs make")
@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "80x"])
def test_run_says_that_a_port_is_no_port(port):
    # With --old-file, make does not install the packages.
    done = make("--old-file=.venv/main", "run", f"PORT={port}")

    assert done.returncode == 2
    assert done.stdout == f"PORT={port} is not a port number. Choose one: make run PORT=8001\n"
