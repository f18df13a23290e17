"""``make`` without a target lists the targets."""

import re
import shutil
import subprocess

import pytest
from django.conf import settings

MAKEFILE = settings.BASE_DIR / "Makefile"


@pytest.mark.skipif(not shutil.which("make"), reason="this needs make")
def test_make_lists_every_target_with_its_purpose():
    [phony] = re.findall(r"^\.PHONY: (.+)$", MAKEFILE.read_text(), re.MULTILINE)

    done = subprocess.run(["make"], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True)

    listed = re.findall(r"^make ([\w-]+) +\S.+$", done.stdout, re.MULTILINE)
    assert listed == phony.split()
    assert len(done.stdout.splitlines()) == len(listed)
