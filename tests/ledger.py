"""What must be true after every commit."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from event.models import Event
from reservation.models import Reservation


def assert_balanced() -> None:
    """Every event's seats and reservations add up to its capacity."""
    for event in Event.objects.all():
        assert event.seats_remaining == event.capacity - Reservation.objects.filter(event=event).count()


def seats_left(event: Event) -> int:
    return Event.objects.get(pk=event.pk).seats_remaining


def book(event: Event, *people: User) -> list[Reservation]:
    """Give each of these people a seat, in their order."""
    return [Reservation.objects.book(user=person, event_id=event.pk) for person in people]


def begin(event: Event) -> None:
    """Let the event have started a minute ago."""
    Event.objects.filter(pk=event.pk).update(start_time=timezone.now() - timedelta(minutes=1))


def sell_out(event: Event) -> None:
    """Take the seats of an event without people, for tests that need nobody's reservation."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE event_event SET seats_remaining = 0 WHERE id = %s", [event.pk])
