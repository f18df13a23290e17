"""Runs the commands from the README."""

import json
import re
import shutil
import subprocess

import pytest
from django.conf import settings

from reservation.models import Reservation
from tests.ledger import assert_balanced

README = (settings.BASE_DIR / "README.md").read_text()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not shutil.which("curl"), reason="the commands need curl")
def test_commands_work(live_server):
    [walk] = re.findall(r"## From sign-up to a booking.*?```bash\n(.*?)```", README, re.DOTALL)
    typed = walk.replace("http://127.0.0.1:8000", live_server.url)

    done = subprocess.run(["bash", "-eu", "-c", typed], capture_output=True, text=True, timeout=60)

    responses = [json.loads(line) for line in done.stdout.splitlines() if line]
    signed_up, created, found, booked, again, _, sold_out, booked_after_all = responses
    assert signed_up["username"] == "olga"
    assert found["results"] == [created]
    assert booked["event"]["seats_remaining"] == 0
    assert again["code"] == "already_reserved"
    assert again["reservation"] == booked["id"]
    assert sold_out["code"] == "sold_out"
    assert booked_after_all["user"] == "late"
    assert Reservation.objects.count() == 1
    assert_balanced()


@pytest.mark.parametrize("target", re.findall(r"make ([a-z.]+[/a-z]*)", README))
def test_make_knows_its_commands(target):
    makefile = (settings.BASE_DIR / "Makefile").read_text()

    assert re.search(rf"^(.* )?{re.escape(target)}( .*)?:", makefile, re.MULTILINE)
