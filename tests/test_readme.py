"""Runs the commands from the README, and compares the README and the other documents with the project."""

import json
import re
import shutil
import subprocess

import pytest
from django.conf import settings
from django.core.management import get_commands

from reservation.models import Reservation
from tests.ledger import assert_balanced

DOCUMENTS = [settings.BASE_DIR / name for name in ("README.md", "SECURITY.md")]
DOCUMENTS += sorted((settings.BASE_DIR / "docs").glob("*.md"))
README = DOCUMENTS[0].read_text()
ALL_TEXT = "\n".join(document.read_text() for document in DOCUMENTS)
LINKS = [
    (document, target)
    for document in DOCUMENTS
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    if not target.startswith("https://")
]


def section(title):
    """Return the text of a section of the README, without its subsections' titles."""
    [text] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    return text


def rows(title):
    """Return the rows of the first table of a section, as lists of cells, without the header."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not shutil.which("curl"), reason="the commands need curl")
def test_commands_work(live_server):
    blocks = re.findall(r"```bash\n(.*?)```", section("From sign-up to a booking"), re.DOTALL)
    typed = "".join(blocks).replace("http://127.0.0.1:8000", live_server.url)

    done = subprocess.run(["bash", "-eu", "-c", typed], capture_output=True, text=True, timeout=60)

    responses = [json.loads(line) for line in done.stdout.splitlines() if line]
    signed_up, created, found, booked, again, _, sold_out, waits, held = responses
    assert signed_up["username"] == "olga"
    assert found["results"] == [created]
    assert booked["event"]["seats_remaining"] == 0
    assert again["code"] == "already_reserved"
    assert again["reservation"] == booked["id"]
    assert sold_out["code"] == "sold_out"
    assert waits["position"] == 1
    assert [(each["user"], each["from_waitlist"]) for each in held["results"]] == [("late", True)]
    assert Reservation.objects.count() == 1
    assert_balanced()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z.]+[/a-z]*)", ALL_TEXT, re.MULTILINE))))
def test_make_knows_its_commands(target):
    makefile = (settings.BASE_DIR / "Makefile").read_text()

    assert re.search(rf"^(.* )?{re.escape(target)}( .*)?:", makefile, re.MULTILINE)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"manage\.py ([a-z_]+)", ALL_TEXT))))
def test_manage_knows_its_commands(command):
    assert command in get_commands()


def test_commands_of_the_table_exist():
    assert {cells[0].strip("`").split()[0] for cells in rows("Commands")} <= get_commands().keys()


def test_every_setting_is_in_the_table_and_in_envrc():
    listed = {name for cells in rows("Settings") for name in re.findall(r"`([A-Z_]+)`", cells[0])}
    envrc = (settings.BASE_DIR / ".envrc").read_text()

    assert listed == set(re.findall(r"^(?:# )?export ([A-Z_]+)=", envrc, re.MULTILINE))


def test_every_endpoint_is_in_the_table(client):
    paths = client.get("/schema/", headers={"accept": "application/json"}).json()["paths"]
    documented = {
        (method.upper(), re.sub(r"\{\w+\}", "{id}", path))
        for path, operations in paths.items()
        for method in operations
        if method != "parameters"
    }

    listed = {
        (method, re.sub(r"\{\w+\}", "{id}", cells[1].strip("`")))
        for cells in rows("Endpoints")
        for method in cells[0].split(", ")
    }

    assert documented
    assert documented <= listed


@pytest.mark.parametrize(("document", "target"), LINKS, ids=lambda part: getattr(part, "name", part))
def test_link_leads_somewhere(document, target):
    path, _, anchor = target.partition("#")
    linked = document.parent / path if path else document

    assert linked.exists()
    if anchor:
        titles = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
