"""A user's own calendar, under an address with a secret key.

Calendar programs send no headers, so the key in the address replaces the token. It has 256 random bits, and only its
SHA-256 digest is stored: nobody can open a calendar with a copy of the database. The digest is looked up with a unique
index. The time of the lookup may depend on how many leading characters of a stored digest match. An attacker can't
choose the digest of a guess, so the time reveals nothing about the key.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from secrets import token_urlsafe

import icalendar
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Left
from django.utils.timezone import now
from rest_framework.authtoken.models import Token
from rest_framework.request import Request

from event.calendar import calendar_entry
from event.models import Event
from reservation.models import CalendarKey

KEY_BYTES = 32
KEY_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
# How long a booking stays in the calendar after the end of its event.
KEPT_AFTER_THE_END = timedelta(days=365)
# The maximum number of entries. If there are more, upcoming events come first (see ``booked_events``).
MAX_ENTRIES = 500
# In characters. The file of an event has its whole description.
MAX_DESCRIPTION_LENGTH = 1000


def renew_key(token: Token) -> str | None:
    """Create a calendar key for the user of this token, and return it. It replaces the old key.

    Returns None if the token was revoked meanwhile. A password change and a deactivation lock the user's row and revoke
    the token before they delete the key. So no key that is created at the same time remains after them.
    """
    key = token_urlsafe(KEY_BYTES)
    with transaction.atomic():
        # Bookings of the user don't wait for this lock.
        list(User.objects.select_for_update(no_key=True).filter(pk=token.user_id).values_list("pk"))
        if not Token.objects.filter(pk=token.pk, user__is_active=True).exists():
            return None
        delete_key(token.user_id)
        CalendarKey.objects.create(user_id=token.user_id, digest=digest(key))
    return key


def delete_key(user_id: int | None) -> None:
    """Delete the user's calendar key, if there is one."""
    CalendarKey.objects.filter(user=user_id).delete()


def holder_of(key: str) -> User | None:
    """Return the active user with this calendar key, or None."""
    if not KEY_PATTERN.fullmatch(key):
        return None
    return User.objects.filter(calendar_key__digest=digest(key), is_active=True).first()


def digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def booked_events(user: User) -> list[Event]:
    """Return the events that the user has booked, without those that ended more than a year ago.

    Returns at most MAX_ENTRIES events: first those that are not over, in the order of their start, then the others, the
    latest first. ``beginning`` has at most MAX_DESCRIPTION_LENGTH + 1 characters of the description, so that a longer
    description can be recognized.
    """
    today = now()
    booked = Event.objects.filter(reservations__user=user).defer("description")
    booked = booked.annotate(beginning=Left("description", MAX_DESCRIPTION_LENGTH + 1))
    coming = list(booked.filter(end_time__gt=today).order_by("start_time", "id")[:MAX_ENTRIES])
    over = booked.filter(end_time__lte=today, end_time__gt=today - KEPT_AFTER_THE_END).order_by("-start_time", "-id")
    return coming + list(over[: MAX_ENTRIES - len(coming)])


def calendar_entries(events: list[Event], request: Request) -> Iterator[icalendar.Event]:
    for event in events:
        description: str = event.beginning  # type: ignore[attr-defined]  # Annotated.
        if len(description) > MAX_DESCRIPTION_LENGTH:
            description = f"{description[:MAX_DESCRIPTION_LENGTH]}…"
        yield calendar_entry(event, description, request)
