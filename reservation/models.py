"""Reservations: each is one seat at one event.

A row is inserted with a seat (``save``), deleted with one (``delete``), and never edited. Booking and cancelling add
who may do so, and when (booking.py). Fixtures and SQL are not checked: ``manage.py check_seats`` compares.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import Index, UniqueConstraint

from event.journal import log_seats
from event.models import Event
from eventmanagement.database.queries import ClockTimestamp
from reservation import booking

NOT_EDITED = "A reservation is not edited: cancel it and book again."


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def update(self, **changes: Any) -> int:
        raise TypeError(NOT_EDITED)

    update.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    def bulk_create(self, *args: Any, **options: Any) -> list["Reservation"]:
        raise TypeError("Reservations can't be created in bulk. Book them one by one.")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the reservations and free their seats, also of events that have started."""
        return booking.release(self)

    delete.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.
    delete.queryset_only = True  # type: ignore[attr-defined]  # A function's attribute.


ReservationManagerFromQuerySet = models.Manager.from_queryset(ReservationQuerySet)


class ReservationManager(ReservationManagerFromQuerySet["Reservation"]):
    def book(self, *, user: User, event_id: int) -> "Reservation":
        """Reserve one seat for the user: see ``booking.book``."""
        return booking.book(user, event_id)


class Reservation(models.Model):
    event = models.ForeignKey(
        Event,
        on_delete=models.CASCADE,
        related_name="reservations",
        # The index reservation_by_event covers this column.
        db_index=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        # Not CASCADE: it would delete the rows without giving back their seats. The receiver in signals.py cancels
        # the reservations first. If another one is booked after that, its foreign key makes the deletion fail.
        on_delete=models.DO_NOTHING,
        related_name="reservations",
        # The index of the unique constraint covers this column.
        db_index=False,
    )
    # The database's clock, read after any wait for the seat: reservations are as old as their ids say.
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    objects = ReservationManager()

    class Meta:
        # The order of booking.
        ordering = ["id"]
        # Makes related managers use ReservationManager, so that event.reservations.set() and add() are rejected.
        base_manager_name = "objects"
        constraints = [UniqueConstraint(name="reservation_once_per_user_and_event", fields=["user", "event"])]
        indexes = [
            # For the list of attendees, and for deleting an event.
            Index(name="reservation_by_event", fields=["event", "id"]),
            # For the list of a user's own reservations.
            Index(name="reservation_by_user", fields=["user", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.user} at {self.event}"

    def save(self, **options: Any) -> None:
        """Insert the row and take its seat, or do neither; raises what ``Event.objects.take_seat`` raises."""
        if not self._state.adding:
            raise TypeError(NOT_EDITED)
        with transaction.atomic():
            self.event = Event.objects.take_seat(self.event_id)
            super().save(**options | {"force_insert": True})
            self.refresh_from_db(fields=["created_at"])
            self.log_taken()

    # Options by name alone, as for save.
    def delete(self, **options: Any) -> tuple[int, dict[str, int]]:  # type: ignore[override]
        """Delete the row and free its seat, also after the event has started."""
        return Reservation.objects.filter(pk=self.pk).delete()

    def cancel(self) -> None:
        """Give the seat back before the event starts: see ``booking.cancel``."""
        booking.cancel(self.pk)

    def log_taken(self) -> None:
        """Write to the journal that this reservation has taken a seat of ``event``, as it is now."""
        log_seats(
            "taken",
            event=self.event_id,
            seats_left=self.event.seats_remaining,
            user=self.user_id,
            reservation=self.pk,
        )
