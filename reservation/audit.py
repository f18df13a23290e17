"""Compares the seat ledger with the reservations."""

from collections.abc import Iterator
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, F

from event.journal import log_seats
from event.models import Event
from reservation.models import Reservation

# Rows per fetch. Bounds the memory of an audit.
FETCH_SIZE = 1000


class Difference(NamedTuple):
    """An event where ``capacity - seats_remaining`` differs from the number of reservations."""

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
    """Yield every event whose ledger is wrong. Uses one query without locks.

    The query sees one snapshot of the database: of each concurrent booking, both changes or neither.
    """
    counted = Event.objects.annotate(held=Count("reservations")).exclude(capacity=F("seats_remaining") + F("held"))
    for row in counted.order_by("pk").values_list("pk", "capacity", "seats_remaining", "held").iterator(FETCH_SIZE):
        yield Difference(*row)


@transaction.atomic
def repair(event_id: int) -> bool:
    """Set ``seats_remaining`` to the capacity minus the number of reservations. Returns whether that was possible.

    Counts while it holds the event's lock, so it is safe while users book. An event with more reservations than
    capacity is not changed: a person must cancel reservations or raise the capacity.
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
