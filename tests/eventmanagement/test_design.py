"""The rules for imports between apps, and for migrations."""

import ast
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

MAY_IMPORT = {
    "authentication": {"authentication", "eventmanagement"},
    "event": {"event", "eventmanagement"},
    "reservation": {"reservation", "event", "eventmanagement"},
}


def imported_by(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # The imported name may itself be a module.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("app", MAY_IMPORT)
def test_imports_go_one_way(app):
    files = list(Path(settings.BASE_DIR, app).rglob("*.py"))
    packages = {name.split(".")[0] for path in files for name in imported_by(path)}

    assert files
    assert packages & {*MAY_IMPORT, "eventmanagement"} <= MAY_IMPORT[app]


def test_database_knows_neither_the_api_nor_the_server():
    files = list(Path(settings.BASE_DIR, "eventmanagement", "database").rglob("*.py"))
    rooms = {".".join(name.split(".")[:2]) for path in files for name in imported_by(path)}

    assert files
    assert not rooms & {"eventmanagement.api", "eventmanagement.serving"}


def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, stdout=StringIO())
