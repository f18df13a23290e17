"""LIKE on SQLite ignores case in any script, like searches on PostgreSQL."""

import pytest
from django.contrib.auth.models import User
from django.db import connection

from eventmanagement.database.sqlite import like


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%ÉCOLE%", "l'école"),
        ("сцена", "СЦЕНА"),
        ("%b%", "a\nb\nc"),
        ("a_c", "ABC"),
        (r"100\%", "100%"),
        (r"%\_\\%", r"a_\b"),
        ("", ""),
        ("%", "anything"),
        ("7", 7),
    ],
)
def test_like(pattern, text):
    assert like(pattern, text, "\\")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("ecole", "école"), ("b", "abc"), ("a_c", "ac"), (r"100\%", "1000"), (r"\_", "a"), (".*", "ab"), ("a", "a\n")],
)
def test_unlike(pattern, text):
    assert like(pattern, text, "\\") is False


def test_backslash_is_a_character_without_escape():
    assert like("a\\%", "a\\b")


@pytest.mark.parametrize(("pattern", "text"), [(None, "a"), ("a", None)])
def test_null_is_neither(pattern, text):
    assert like(pattern, text, "\\") is None


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has its own LIKE")
def test_connection_uses_it():
    User.objects.create(username="Élodie")

    with connection.cursor() as cursor:
        cursor.execute("SELECT 'É' LIKE 'é', 'É' LIKE '\\é' ESCAPE '\\', 'É' LIKE NULL")
        assert cursor.fetchone() == (1, 1, None)
    assert User.objects.filter(username__iexact="éLODIE").exists()
