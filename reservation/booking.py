"""The booking rule: how a seat is taken and given back.

A user who holds a seat at the event already is told so before anything else; otherwise an event that has started
refuses, and then one that is sold out. The database counts: a seat is taken by one conditional update of the event's
row, in one transaction with the reservation's row. A seat is given back only by the transaction that really deleted
the reservation. Every path locks the event's row before it touches reservations, and several events in the order
of their ids.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, OuterRef, QuerySet, Subquery

from event.exceptions import EventStarted, SoldOut
from event.journal import log_seats
from event.models import STARTED, Event
from eventmanagement.database.errors import Unavailable, violates
from reservation import booking_sql, models
from reservation.exceptions import AlreadyCancelled, AlreadyReserved

# A try fails without a reason when the reason is gone by the time that it is asked for, or when the caller's
# transaction can't see it.
MOST_TRIES = 10
# Rows in one DELETE: every database takes as many parameters.
BATCH = 1000


def book(user: User, event_id: int) -> "models.Reservation":
    """Reserve one seat for the user; return the reservation, with the event as it is with that seat taken.

    Raises AlreadyReserved, EventStarted or SoldOut; Event.DoesNotExist; or Unavailable if the event's row stays locked
    or MOST_TRIES tries fail.
    """
    try_to_book = body()
    for _ in range(MOST_TRIES):
        try:
            reservation = try_to_book(user, event_id)
        except IntegrityError as error:
            # The user's own other click, at the same moment.
            if not violates(error, models.Reservation, "reservation_once_per_user_and_event"):
                raise
        else:
            if reservation is not None:
                return reservation
    raise Unavailable(f"event {event_id} could not be booked in {MOST_TRIES} tries")


def body() -> Callable[[User, int], "models.Reservation | None"]:
    """Choose how to try: in one statement where that does the same, in a transaction elsewhere."""
    return booking_sql.book_in_one_statement if booking_sql.is_supported() else book_in_a_transaction


def book_in_a_transaction(user: User, event_id: int) -> "models.Reservation | None":
    """Try to book, on any database. This is the specification of booking.

    Raises the reason that speaks against it, or returns None if the last seat was taken meanwhile.
    """
    Objections(*objections(user.pk, event_id).get()).raise_first()
    try:
        return models.Reservation.objects.create(user=user, event_id=event_id)
    except (EventStarted, SoldOut):
        return None


class Objections(NamedTuple):
    """What may speak against a booking; ``held`` is the id of the reservation that the user holds."""

    held: int | None
    has_started: bool
    seats_remaining: int

    def raise_first(self) -> None:
        """Raise the first reason to refuse, if there is one."""
        if self.held is not None:
            raise AlreadyReserved(self.held)
        if self.has_started:
            raise EventStarted
        if self.seats_remaining <= 0:
            raise SoldOut


def objections(user_id: int, event_id: int) -> QuerySet[Event, tuple[int | None, bool, int]]:
    """The event's row as ``Objections`` of this user."""
    held = Subquery(held_by(user_id).values("pk")[:1])
    state = Event.objects.filter(pk=event_id).order_by().annotate(held=held, has_started=STARTED)
    return state.values_list("held", "has_started", "seats_remaining")


def held_by(user_id: int) -> "QuerySet[models.Reservation]":
    """The user's reservation of the event that the query around it is about.

    It is found among the user's reservations, which are few. The sum keeps PostgreSQL from searching the event's
    reservations instead: its statistics may be older than the sale.
    """
    return models.Reservation.objects.alias(at=F("event_id") + 0).filter(user=user_id, at=OuterRef("pk")).order_by()


def cancel(reservation_id: int | None) -> None:
    """Give a reservation's seat back before its event starts.

    Raises EventStarted; AlreadyCancelled if the reservation does not exist any more; or Unavailable if the event's row
    stays locked.
    """
    reservation = models.Reservation.objects.filter(pk=reservation_id)  # type: ignore[misc]  # None finds nothing.
    try:
        with transaction.atomic():
            # The row says whose seat it is and where: an instance may have been changed.
            event_id, user_id = reservation.values_list("event_id", "user_id").get()
            seats_left = Event.objects.free_seat(event_id)
            if not _delete(reservation.filter(event=event_id)):
                # Rolls the freed seat back.
                raise AlreadyCancelled
            log_seats("returned", event=event_id, seats_left=seats_left, user=user_id, reservation=reservation_id)
    except (models.Reservation.DoesNotExist, Event.DoesNotExist):
        raise AlreadyCancelled from None


def release(reservations: "QuerySet[models.Reservation]") -> tuple[int, dict[str, int]]:
    """Delete reservations and free their seats, also of events that have started; return what Django's delete does.

    Frees only the seats of rows that this transaction really deleted.
    """
    with transaction.atomic():
        # Read once: what the queryset finds may depend on rows that are deleted on the way.
        found = defaultdict(list)
        for pk, event_id in reservations.values_list("pk", "event_id"):
            found[event_id].append(pk)
        deleted: Counter[str] = Counter()
        for event_id in Event.objects.filter(pk__in=list(found)).lock():
            for start in range(0, len(found[event_id]), BATCH):
                deleted[models.Reservation._meta.label] += _release(event_id, found[event_id][start : start + BATCH])
    return deleted.total(), dict(+deleted)


def _release(event_id: int, reservation_ids: list[int]) -> int:
    """Delete those reservations of a locked event that still exist, and free their seats; return how many."""
    rows = models.Reservation.objects.filter(pk__in=reservation_ids, event=event_id)
    held = list(rows.values_list("pk", "user_id"))
    deleted = _delete(rows)
    seats_left = Event.objects.free_seats(event_id, deleted)
    for nth, (pk, user_id) in enumerate(held, start=1):
        log_seats("returned", event=event_id, seats_left=seats_left - deleted + nth, user=user_id, reservation=pk)
    return deleted


def _delete(reservations: "QuerySet[models.Reservation]") -> int:
    """Delete rows whose seats the caller frees; return how many there were."""
    deleted, _ = QuerySet.delete(reservations)
    return deleted
