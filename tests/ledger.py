"""Helpers for the seat ledger."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from event.models import Event
from reservation.models import Reservation


def assert_balanced() -> None:
    """Assert that ``seats_remaining`` plus the number of reservations is the capacity, for every event."""
    for event in Event.objects.all():
        assert event.seats_remaining == event.capacity - Reservation.objects.filter(event=event).count()


def seats_left(event: Event) -> int:
    return Event.objects.get(pk=event.pk).seats_remaining


def book(event: Event, *people: User) -> list[Reservation]:
    """Book a seat for each of these users, in this order."""
    return [Reservation.objects.book(user=person, event_id=event.pk) for person in people]


def begin(event: Event) -> None:
    """Set the event's start to one minute ago."""
    Event.objects.filter(pk=event.pk).update(start_time=timezone.now() - timedelta(minutes=1))


def sell_out(event: Event) -> None:
    """Set ``seats_remaining`` to 0 without reservations."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE event_event SET seats_remaining = 0 WHERE id = %s", [event.pk])
