"""Booking and cancelling: how a seat is taken and given back.

A booking is refused if the user already has a seat, if the event was called off, if it has started, or if it is sold
out. If several of these are true, the first one is the reason. One conditional update of the event's row takes the
seat, in the same transaction as the insert of the reservation. The count is computed in SQL, never in Python. Only the
transaction that deletes a reservation gives its seat back. If people are on the waiting list, the first one gets it in
the same transaction (waitlist.py). All code locks the event's row before it changes reservations, and locks several
events in the order of their ids.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Expression, F, OuterRef, QuerySet, Subquery

from event.exceptions import EventCancelled, EventStarted, SoldOut
from event.journal import log_promotions, log_seats
from event.models import STARTED, Event
from eventmanagement.database.errors import Unavailable, violates
from reservation import booking_sql, models
from reservation.exceptions import AlreadyCancelled, AlreadyReserved, CheckedIn

# The maximum number of attempts of a booking. An attempt is repeated if it fails and no reason is visible: the reason
# has disappeared, for example because a seat was given back, or the caller's transaction can't see it.
MAX_ATTEMPTS = 10
# Rows per DELETE statement. Databases limit the number of parameters.
BATCH_SIZE = 1000


def book(user: User, event_id: int) -> "models.Reservation":
    """Book one seat for the user. The reservation's ``event`` has the new ``seats_remaining``.

    Raises AlreadyReserved, EventCancelled, EventStarted, SoldOut or Event.DoesNotExist. AlreadyReserved takes
    precedence, so that a client that lost the response to its booking learns that it has a seat. Raises Unavailable if
    the event's row stays locked, or after MAX_ATTEMPTS failed attempts.
    """
    try_to_book = body()
    for _ in range(MAX_ATTEMPTS):
        try:
            reservation = try_to_book(user, event_id)
        except IntegrityError as error:
            # A concurrent booking of the same user was faster.
            if not violates(error, models.Reservation, "reservation_once_per_user_and_event"):
                raise
        else:
            if reservation is not None:
                return reservation
    raise Unavailable(f"event {event_id} could not be booked in {MAX_ATTEMPTS} attempts")


def body() -> Callable[[User, int], "models.Reservation | None"]:
    """Return the function that tries to book: in one statement if that is supported, otherwise in a transaction."""
    return booking_sql.book_in_one_statement if booking_sql.is_supported() else book_in_a_transaction


def book_in_a_transaction(user: User, event_id: int) -> "models.Reservation | None":
    """Try to book, on any database. Booking in one statement must have the same result.

    Raises the reason if the user can't book. Returns None if the event was called off, has started or was sold out
    after the check.
    """
    RefusalReasons(*objections(user.pk, event_id).get()).raise_first()
    try:
        return models.Reservation.objects.create(user=user, event_id=event_id)
    except (EventCancelled, EventStarted, SoldOut):
        return None


class RefusalReasons(NamedTuple):
    """The possible reasons against a booking. ``held`` is the id of the user's reservation, or None."""

    held: int | None
    cancelled_at: datetime | None
    has_started: bool
    seats_remaining: int

    def raise_first(self) -> None:
        """Raise the first reason against the booking, if there is one."""
        if self.held is not None:
            raise AlreadyReserved(self.held)
        if self.cancelled_at is not None:
            raise EventCancelled
        if self.has_started:
            raise EventStarted
        if self.seats_remaining <= 0:
            raise SoldOut


def objections(
    user_id: int | Expression, event_id: int
) -> QuerySet[Event, tuple[int | None, datetime | None, bool, int]]:
    """Return the query for the ``RefusalReasons``: the possible reasons against booking this event for this user."""
    held = Subquery(held_by(user_id).values("pk")[:1])
    state = Event.objects.filter(pk=event_id).order_by().annotate(held=held, has_started=STARTED)
    return state.values_list(*RefusalReasons._fields)


def held_by(user_id: int | Expression) -> "QuerySet[models.Reservation]":
    """Return the subquery for the user's reservation of the outer query's event.

    ``event_id + 0`` keeps PostgreSQL from using an index on ``event_id``. With statistics from before a rush of
    bookings, it might expect few reservations of the event and read all of them. So it reads the reservations of
    the user, which are few.
    """
    users: Any = user_id
    return models.Reservation.objects.alias(at=F("event_id") + 0).filter(user=users, at=OuterRef("pk")).order_by()


def cancel(reservation_id: int | None) -> None:
    """Delete a reservation and give its seat back, unless it is checked in or the event has started.

    If people are on the waiting list, the first one gets the seat. Raises CheckedIn, EventStarted, AlreadyCancelled if
    the reservation no longer exists, or Unavailable if the event's row stays locked.
    """
    reservation = models.Reservation.objects.filter(pk=reservation_id)  # type: ignore[misc]  # None finds nothing.
    try:
        with transaction.atomic():
            # Read event and user from the database: the attributes of an instance may have been changed.
            event_id, user_id, checked_in_at = reservation.values_list("event_id", "user_id", "checked_in_at").get()
            if checked_in_at is not None:
                # Without a lock, so that a refusal neither waits nor writes.
                raise CheckedIn
            freed = Event.objects.free_seat(event_id)
            own = reservation.filter(event=event_id)
            if not _delete(own.filter(checked_in_at=None)):
                # The exception rolls the transaction back, and with it free_seat.
                raise CheckedIn if own.exists() else AlreadyCancelled
            seats_left = freed.seats_before_promotions
            log_seats("returned", event=event_id, seats_left=seats_left, user=user_id, reservation=reservation_id)
            log_promotions(event_id, freed)
    except (models.Reservation.DoesNotExist, Event.DoesNotExist):
        raise AlreadyCancelled from None


def release(reservations: "QuerySet[models.Reservation]", by: int | None = None) -> tuple[int, dict[str, int]]:
    """Delete the reservations and give their seats back, after locking their events in the order of their ids.

    Gives back one seat for each row that this transaction deleted, even if the event has started or the user is checked
    in. People on the waiting lists get these seats first. The number of statements depends on the number of batches,
    not on the number of events: all of these events stay locked until the transaction ends. ``by`` is logged: the id of
    the organizer who takes the seats back. Returns the same as Django's ``QuerySet.delete()``.
    """
    with transaction.atomic():
        # Evaluate the queryset once: its filters may depend on rows that are deleted below.
        found = dict(reservations.values_list("pk", "event_id"))
        for event_ids in batches(sorted({*found.values()})):
            Event.objects.filter(pk__in=event_ids).lock()
        ids = sorted(found, key=lambda pk: (found[pk], pk))
        count = sum(_release(batch, {found[pk] for pk in batch}, by) for batch in batches(ids))
        deleted = Counter({models.Reservation._meta.label: count})
    return deleted.total(), dict(+deleted)


def batches(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), BATCH_SIZE):
        yield ids[start : start + BATCH_SIZE]


def _release(reservation_ids: list[int], event_ids: set[int], by: int | None) -> int:
    """Delete the rows of these events that still exist, and give back their seats.

    The caller must hold the locks of the events.
    """
    # The row locks make sure that exactly these rows are deleted below.
    rows = models.Reservation.objects.filter(pk__in=reservation_ids, event__in=event_ids).order_by("event_id", "pk")
    held = list(rows.select_for_update().values_list("pk", "event_id", "user_id"))
    deleted = _delete(models.Reservation.objects.filter(pk__in=[pk for pk, _, _ in held]))
    seats = Counter(event_id for _, event_id, _ in held)
    freed = Event.objects.free_seats(seats)
    seats_left = {event_id: each.seats_before_promotions - seats[event_id] for event_id, each in freed.items()}
    for pk, event_id, user_id in held:
        seats_left[event_id] += 1
        log_seats("returned", event=event_id, seats_left=seats_left[event_id], user=user_id, reservation=pk, by=by)
    for event_id, each in freed.items():
        log_promotions(event_id, each)
    return deleted


def _delete(reservations: "QuerySet[models.Reservation]") -> int:
    """Delete rows. The caller must give back as many seats as this returns."""
    deleted, _ = QuerySet.delete(reservations)
    return deleted
