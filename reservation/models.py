"""Reservations. Each one is one seat at one event.

Inserting a row takes a seat (``save``), and deleting it gives the seat back (``delete``). Rows are never updated.
``book`` and ``cancel`` add the rules (booking.py): one seat per user, and no change after the event has started.
Fixtures and SQL bypass all this; ``manage.py check_seats`` finds the differences.
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

NOT_EDITED = "A reservation can't be changed. Cancel it and book again."


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def update(self, **changes: Any) -> int:
        raise TypeError(NOT_EDITED)

    update.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    def bulk_create(self, *args: Any, **options: Any) -> list["Reservation"]:
        raise TypeError("Reservations can't be created in bulk. Book them one by one.")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the reservations and give their seats back, even if the event has started."""
        return booking.release(self)

    delete.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.
    delete.queryset_only = True  # type: ignore[attr-defined]  # A function's attribute.


ReservationManagerFromQuerySet = models.Manager.from_queryset(ReservationQuerySet)


class ReservationManager(ReservationManagerFromQuerySet["Reservation"]):
    def book(self, *, user: User, event_id: int) -> "Reservation":
        """Book one seat for the user. See ``booking.book``."""
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
    # The database's clock, read after the wait for the event's lock, so that created_at and id have the same order.
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    objects = ReservationManager()

    class Meta:
        # The order of booking.
        ordering = ["id"]
        # event.reservations.add() and set() call update() of the base manager; ReservationManager rejects that.
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
        """Take a seat and insert the row in one transaction. Raises the exceptions of ``Event.objects.take_seat``."""
        if not self._state.adding:
            raise TypeError(NOT_EDITED)
        with transaction.atomic():
            self.event = Event.objects.take_seat(self.event_id)
            super().save(**options | {"force_insert": True})
            self.refresh_from_db(fields=["created_at"])
            self.log_taken()

    def delete(self, **options: Any) -> tuple[int, dict[str, int]]:  # type: ignore[override]
        """Delete the row and give its seat back, even if the event has started."""
        return Reservation.objects.filter(pk=self.pk).delete()

    def cancel(self) -> None:
        """Delete the reservation and give its seat back, unless the event has started. See ``booking.cancel``."""
        booking.cancel(self.pk)

    def log_taken(self) -> None:
        """Log that this reservation has taken a seat. ``event`` must have the new ``seats_remaining``."""
        log_seats(
            "taken",
            event=self.event_id,
            seats_left=self.event.seats_remaining,
            user=self.user_id,
            reservation=self.pk,
        )
