"""Compares the seat ledger with the reservations and the waiting lists."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from event.journal import log_promotions, log_seats
from event.models import NOT_CANCELLED, Event
from reservation.models import Reservation, WaitlistEntry
from reservation.waitlist import remove_lists

# Rows per fetch. Bounds the memory of an audit.
FETCH_SIZE = 1000


class Difference(NamedTuple):
    """An event whose counts differ from its rows, or that must not have a waiting list but has one.

    ``capacity - seats_remaining`` should be the number of reservations, and ``waiting`` the number of places on the
    waiting list. Nobody may wait while a seat is free, or for an event that was called off.
    """

    event: int
    capacity: int
    seats_remaining: int
    reservations: int
    waiting: int
    places: int
    cancelled_at: datetime | None

    def __str__(self) -> str:
        seats = f"capacity {self.capacity}, {self.seats_remaining} seats remaining, {self.reservations} reservations"
        line = f", {self.waiting} waiting, {self.places} places on the waiting list"
        called_off = ", called off" if self.cancelled_at else ""
        return f"event {self.event}: {seats}{line if self.waiting or self.places else ''}{called_off}"


def differences() -> Iterator[Difference]:
    """Yield every event whose ledger is wrong. Uses one query without locks.

    The query sees one snapshot of the database: of each concurrent booking, both changes or neither.
    """
    counted = Event.objects.annotate(
        # One count is computed by grouping, the other by a subquery for each event. Grouped together, the rows of both
        # tables would multiply.
        held=Count("reservations"),
        places=Coalesce(Subquery(_places_of(OuterRef("pk"))), 0),
    )
    counts_are_right = Q(capacity=F("seats_remaining") + F("held"), waiting=F("places"))
    may_have_places = Q(seats_remaining=0) & NOT_CANCELLED
    rows = counted.exclude(counts_are_right & (may_have_places | Q(places=0))).order_by("pk")
    columns = ("pk", "capacity", "seats_remaining", "held", "waiting", "places", "cancelled_at")
    for row in rows.values_list(*columns).iterator(FETCH_SIZE):
        yield Difference(*row)


def _places_of(event: OuterRef) -> QuerySet[WaitlistEntry, int]:
    """Return the subquery for the number of places on the event's waiting list. It has no row for an empty list."""
    places = WaitlistEntry.objects.filter(event=event).order_by().values("event")
    return places.annotate(number=Count("pk")).values_list("number", flat=True)


@transaction.atomic
def repair(event_id: int) -> bool:
    """Set ``seats_remaining`` and ``waiting`` to what the rows say. Returns whether that was possible.

    If people wait while seats are free, the first ones on the list get them. If the event was called off, its waiting
    list is removed. Counts while it holds the event's lock, so it is safe while users book. An event with more
    reservations than capacity is not changed: a person must cancel reservations or raise the capacity.
    """
    event = Event.objects.locked().filter(pk=event_id).first()
    if event is None:
        return True
    held = Reservation.objects.filter(event=event).count()
    if held > event.capacity:
        return False
    if event.is_cancelled:
        remove_lists([event_id])
    # First set that all seats are taken. Then free the free seats in the usual way, which gives them to the people who
    # wait.
    Event.objects.set_seats(event_id, 0, WaitlistEntry.objects.filter(event=event).count())
    freed = Event.objects.free_seats({event_id: event.capacity - held})[event_id]
    log_seats("repaired", event=event_id, seats_left=freed.seats_before_promotions)
    log_promotions(event_id, freed)
    return True
