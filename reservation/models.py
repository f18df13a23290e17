"""Reservations: each is one seat at one event, taken and given back with its row.

A row comes with a seat (``save``), goes with one (``delete``), and is never edited; booking and
cancelling add who may and when. Fixtures and SQL are taken at their word: ``check_seats`` compares.
"""

from collections import Counter, defaultdict
from contextlib import nullcontext, suppress
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError, connections, models, transaction
from django.db.models import Exists, F, Index, OuterRef, Subquery, UniqueConstraint

from event.exceptions import EventStarted, SoldOut
from event.models import EVENT_ID, EVENT_LOCKS, STARTED, TAKE_SEAT, Event, log_seats
from eventmanagement.database.errors import Unavailable, violates
from eventmanagement.database.queries import CompiledQuery, Parameter, QueryWithin
from reservation.exceptions import AlreadyCancelled, AlreadyReserved

# Rows deleted by one statement: as many parameters as every database takes.
CHUNK = 1000
# How often a booking tries again because, by the time it was refused, nothing forbade it any more.
MOST_TRIES = 10


class ReservationQuerySet(models.QuerySet):
    def update(self, **changes: Any) -> int:
        raise TypeError("A reservation is not edited: cancel it and book again.")

    update.alters_data = True

    def bulk_create(self, *args: Any, **options: Any) -> list["Reservation"]:
        raise TypeError("Reservations are booked one by one, each with its seat.")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the reservations and give their seats back, event by event in the order of their ids.

        Only what this transaction really deleted is given back, started event or not.
        """
        with transaction.atomic():
            # Read once: what the queryset finds may depend on rows that are deleted on the way.
            doomed = defaultdict(list)
            for pk, event_id in self.values_list("pk", "event_id"):
                doomed[event_id].append(pk)
            total: Counter[str] = Counter()
            for event_id in Event.objects.filter(pk__in=list(doomed)).lock():
                for start in range(0, len(doomed[event_id]), CHUNK):
                    total.update(_delete_rows(event_id, doomed[event_id][start : start + CHUNK]))
            return total.total(), dict(total)

    delete.alters_data = True
    delete.queryset_only = True


def _delete_rows(event_id: int, pks: list[int]) -> dict[str, int]:
    """Delete those of the rows that are still there, and give as many seats back; the event is locked."""
    rows = Reservation.objects.filter(pk__in=pks, event=event_id)
    held = list(rows.values_list("pk", "user_id"))
    deleted, by_model = models.QuerySet.delete(rows)
    seats_left = Event.objects.give_back_seats(event_id, deleted)
    for nth, (pk, user_id) in enumerate(held, start=1):
        log_seats("returned", event=event_id, seats_left=seats_left - deleted + nth, user=user_id, reservation=pk)
    return by_model


class ReservationManager(models.Manager.from_queryset(ReservationQuerySet)):
    def book(self, *, user: AbstractUser, event_id: int) -> "Reservation":
        """Reserve one seat for the user; the reservation's event is as it is with that seat taken.

        Raises AlreadyReserved, SoldOut or EventStarted, or Event.DoesNotExist. Whoever holds a
        seat hears of that before anything else, so that a lost answer is never a lost seat.
        Raises Unavailable after ``MOST_TRIES`` tries that failed for a reason that was gone
        afterwards, or that this transaction can't see.
        """
        for _ in range(MOST_TRIES):
            try:
                reservation = self._book(user, event_id)
            except IntegrityError as error:
                if not violates(error, self.model, "reservation_once_per_user_and_event"):
                    raise
                reservation = None
            if reservation is not None:
                return reservation
            found = REASON.run(event_id=event_id, user_id=user.pk)
            if found is None:
                raise Event.DoesNotExist
            event, *state = found
            # Where nothing forbids it, a seat was given back since the refusal: try again.
            refuse_for(event.seats_remaining, *state)
        raise Unavailable(f"event {event_id} could not be booked in {MOST_TRIES} tries")

    def _book(self, user: AbstractUser, event_id: int) -> "Reservation | None":
        """Take the seat with its row; on PostgreSQL by one statement, elsewhere as ``save`` does it.

        Raises the reason where there is no seat, or gives None where it is still to be asked for.
        """
        connection = connections[self.db]
        if connection.vendor != "postgresql":
            with suppress(SoldOut, EventStarted):
                return self.create(user=user, event_id=event_id)
            return None
        # By itself a statement is a transaction; within another one it takes a savepoint to fail alone.
        with nullcontext() if connection.get_autocommit() else transaction.atomic(using=self.db):
            with EVENT_LOCKS.guard(event_id):
                found = BOOK.run(event_id=event_id, user_id=user.pk)
                held = found and found[-1]
                if held is not None:
                    # The user's own seat is found without a lock: whether the event's is free is not known.
                    raise AlreadyReserved(held)
            if found is None:
                raise Event.DoesNotExist
            event, pk, created_at, *state = found
            if event is None:
                # What spoke against the booking when the statement began has kept it from waiting for anybody.
                refuse_for(*state)
                # Otherwise others were faster, or it waited for them: they took the last seats, perhaps for
                # this very user, or changed the event.
                return None
            reservation = Reservation(pk=pk, event=event, user=user, created_at=created_at)
            reservation._state.adding, reservation._state.db = False, self.db
            reservation._log_taken()
            return reservation


def refuse_for(seats_remaining: int, started: bool, held: int | None) -> None:
    """Raise the reason why there is no seat to be had, if there is one; ``held`` is the user's reservation."""
    if held is not None:
        raise AlreadyReserved(held)
    if started:
        raise EventStarted
    if seats_remaining <= 0:
        raise SoldOut


USER_ID = Parameter("user_id", models.BigIntegerField())


def held_already() -> ReservationQuerySet:
    """The user's reservation of the event that the query around it is about.

    Found among the user's own, which are few: PostgreSQL, whose statistics are from before the rush, may
    take an event's attendees for few as well, but has no index of them by a sum.
    """
    return Reservation.objects.annotate(at=F("event_id") + 0).filter(user=USER_ID, at=OuterRef("pk")).order_by()


# What ``refuse_for`` judges by.
REASON = CompiledQuery(
    lambda: (
        Event.objects.filter(pk=EVENT_ID)
        .only("seats_remaining")
        .annotate(started=STARTED, held=Subquery(held_already().values("pk")[:1]))
    )
)
# Whoever holds a seat is refused before anything is locked or written. Of clicks at the same moment the
# constraint lets one through: none of them sees the others' rows.
TAKE_FIRST_SEAT = CompiledQuery(lambda: TAKE_SEAT.queryset().filter(~Exists(held_already())), **TAKE_SEAT.changes)
# The seat and its row in one statement, the update first, with the reasons as they were when it began. The
# clock is read when the seat is taken, not before the wait for it, so that reservations are as old as
# their ids say.
BOOK = QueryWithin(
    """
    WITH event AS ({}), reservation AS (
        INSERT INTO reservation_reservation (event_id, user_id, created_at)
        SELECT event.id, {}, clock_timestamp() FROM event
        RETURNING id, created_at
    )
    SELECT event.*, reservation.id, reservation.created_at, reason.seats_remaining, reason.started, reason.held
    FROM ({}) reason LEFT JOIN event ON TRUE LEFT JOIN reservation ON TRUE
    """,
    TAKE_FIRST_SEAT,
    USER_ID,
    REASON,
)


class Reservation(models.Model):
    event = models.ForeignKey(
        Event,
        on_delete=models.CASCADE,
        related_name="reservations",
        # The index below begins with it.
        db_index=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        # No cascade: it would delete a reservation booked a moment ago and keep its seat. The
        # receiver in signals.py cancels them first; one that slips in between stops the deletion.
        on_delete=models.DO_NOTHING,
        related_name="reservations",
        # The unique constraint's index begins with it.
        db_index=False,
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ReservationManager()

    class Meta:
        # Ids grow as seats are booked: this is the order of booking.
        ordering = ["id"]
        # So that event.reservations.set() and add() are refused like every other edit.
        base_manager_name = "objects"
        constraints = [UniqueConstraint(name="reservation_once_per_user_and_event", fields=["user", "event"])]
        indexes = [
            # An event's attendees in their order, and all that goes with an event.
            Index(name="reservation_by_event", fields=["event", "id"]),
            # A person's own, in their order.
            Index(name="reservation_by_user", fields=["user", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.user} at {self.event}"

    def save(self, **options: Any) -> None:
        """Insert the row and take its seat, or do neither; raises what ``take_seat`` raises."""
        if not self._state.adding:
            raise TypeError("A reservation is not edited: cancel it and book again.")
        with transaction.atomic():
            self.event = Event.objects.take_seat(self.event_id)
            super().save(**options | {"force_insert": True})
            self._log_taken()

    def delete(self, **options: Any) -> tuple[int, dict[str, int]]:
        """Delete the row and give its seat back, started event or not."""
        return Reservation.objects.filter(pk=self.pk).delete()

    def cancel(self) -> None:
        """Give the seat back while the event has not started.

        Raises EventStarted, or AlreadyCancelled where another transaction has deleted the row.
        """
        try:
            with transaction.atomic():
                # The row says whose seat it is and where; this instance may be changed or loaded in part.
                event_id, user_id = Reservation.objects.values_list("event_id", "user_id").get(pk=self.pk)
                seats_left = Event.objects.free_seat(event_id)
                deleted, _ = models.QuerySet.delete(Reservation.objects.filter(pk=self.pk, event=event_id))
                if not deleted:
                    # Leaving so takes the freed seat back.
                    raise AlreadyCancelled
                log_seats("returned", event=event_id, seats_left=seats_left, user=user_id, reservation=self.pk)
        except (Reservation.DoesNotExist, Event.DoesNotExist):
            raise AlreadyCancelled from None

    def _log_taken(self) -> None:
        log_seats(
            "taken",
            event=self.event_id,
            seats_left=self.event.seats_remaining,
            user=self.user_id,
            reservation=self.pk,
        )
