"""Comparing the ledger of seats with the reservations it stands for."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, F

from event.journal import log_seats
from event.models import Event
from reservation.models import Reservation

# Rows fetched at once, which bounds the memory of an audit.
FETCHED = 1000


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
    for row in counted.order_by("pk").values_list("pk", "capacity", "seats_remaining", "held").iterator(FETCHED):
        yield Difference(*row)


@transaction.atomic
def repair(event_id: int) -> bool:
    """Set the seats that remain by the number of reservations; return whether that was possible.

    Counts under the event's lock, so people can book meanwhile. An event with more reservations than
    capacity is left unchanged: its organizer decides who loses a seat, or raises the capacity.
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
