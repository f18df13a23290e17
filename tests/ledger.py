"""Helpers for the seat ledger."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from event.models import Event
from reservation.models import Reservation, WaitlistEntry


def assert_balanced() -> None:
    """Assert that seats, reservations, ``waiting`` and places agree, for every event.

    Nobody waits beside a free seat or for an event that was called off, and nobody has both a reservation and a place.
    """
    for event in Event.objects.all():
        holders = set(Reservation.objects.filter(event=event).values_list("user_id", flat=True))
        waiting = set(WaitlistEntry.objects.filter(event=event).values_list("user_id", flat=True))
        assert event.seats_remaining == event.capacity - len(holders)
        assert event.waiting == len(waiting)
        assert not (waiting and (event.seats_remaining or event.is_cancelled))
        assert not holders & waiting


def seats_left(event: Event) -> int:
    return Event.objects.get(pk=event.pk).seats_remaining


def book(event: Event, *people: User) -> list[Reservation]:
    """Book a seat for each of these users, in this order."""
    return [Reservation.objects.book(user=person, event_id=event.pk) for person in people]


def wait(event: Event, *people: User) -> list[WaitlistEntry]:
    """Put each of these users on the waiting list, in this order."""
    return [WaitlistEntry.objects.join(user=person, event_id=event.pk) for person in people]


def line(event: Event | int) -> list[str]:
    """Return the usernames on the event's waiting list, in order."""
    return list(WaitlistEntry.objects.filter(event=event).values_list("user__username", flat=True))


def holders(event: Event | int) -> list[str]:
    """Return the usernames of the event's reservations, in the order of booking."""
    return list(Reservation.objects.filter(event=event).values_list("user__username", flat=True))


def begin(event: Event) -> None:
    """Set the event's start to one minute ago."""
    Event.objects.filter(pk=event.pk).update(start_time=timezone.now() - timedelta(minutes=1))


def finish(event: Event) -> None:
    """Set the event's end to one minute ago."""
    now = timezone.now()
    Event.objects.filter(pk=event.pk).update(start_time=now - timedelta(hours=1), end_time=now - timedelta(minutes=1))


def sell_out(event: Event) -> None:
    """Set ``seats_remaining`` to 0 without reservations."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE event_event SET seats_remaining = 0 WHERE id = %s", [event.pk])
