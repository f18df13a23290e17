"""The rules for new usernames: each differs from all others by more than case, and has a visible character."""

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection

from eventmanagement.api.text import has_visible

USERNAME_TAKEN = "A user with that username already exists."
MAX_USERNAME_LENGTH: int = User._meta.get_field("username").max_length  # type: ignore[assignment]  # Not None here.

# The first key separates these locks from other advisory locks. UPPER() because Django's iexact compares upper-case
# text.
LOCK_USERNAME = "SELECT pg_advisory_xact_lock(%s::int, hashtext(UPPER(%s::text)))"
LOCK_KEY = 1


def validate_visible(username: str) -> None:
    """Raise ValidationError if the username has no visible character. Django accepts Hangul fillers, for example."""
    if not has_visible(username):
        raise ValidationError("A username must have a visible character.", code="invisible")


def is_taken(username: str, except_by: User | None = None) -> bool:
    """Return whether a user has this username, ignoring case. A user to leave out can be passed."""
    users = User.objects.filter(username__iexact=username)
    return (users.exclude(pk=except_by.pk) if except_by else users).exists()


def lock_username(username: str) -> None:
    """Lock this username, ignoring case, until the end of the transaction. Waits while another transaction holds it.

    A unique constraint is not possible: the usernames of older accounts may differ only by case. On SQLite, every
    transaction already locks the whole database.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(LOCK_USERNAME, [LOCK_KEY, username])
