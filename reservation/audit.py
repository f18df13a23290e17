"""Comparing the ledger of seats with the reservations it stands for."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, F

from event.models import Event, log_seats
from reservation.models import Reservation

# Rows fetched at once: the memory an audit takes, however many events are wrong.
CHUNK = 1000


class Difference(NamedTuple):
    """An event whose capacity less its seats remaining is not the number of its reservations."""

    event: int
    capacity: int
    seats_remaining: int
    reservations: int

    def __str__(self) -> str:
        return (
            f"event {self.event}: capacity {self.capacity}, {self.seats_remaining} seats remaining, "
            f"{self.reservations} reservations"
        )


def differences() -> Iterator[Difference]:
    """Give every event whose ledger is wrong, by one query that locks nothing.

    It sees one moment of the database, and of every booking under way both rows or neither.
    """
    counted = Event.objects.annotate(held=Count("reservations")).exclude(capacity=F("seats_remaining") + F("held"))
    for row in counted.order_by("pk").values_list("pk", "capacity", "seats_remaining", "held").iterator(CHUNK):
        yield Difference(*row)


@transaction.atomic
def repair(event_id: int) -> bool:
    """Let the seats that remain be what the reservations leave; say whether that was possible.

    Counts under the event's lock, so that people may book meanwhile. An event with more
    reservations than capacity is left alone: whose seat goes, or how the house grows, is its
    organizer's to say.
    """
    event = Event.objects.locked().filter(pk=event_id).first()
    if event is None:
        return True
    held = Reservation.objects.filter(event=event).count()
    if held > event.capacity:
        return False
    Event.objects.set_seats(event_id, event.capacity - held)
    log_seats("repaired", event=event_id, seats_left=event.capacity - held)
    return True
