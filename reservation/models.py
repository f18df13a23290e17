"""Reservations, and places on the waiting lists. Each reservation is one seat at one event.

Inserting a row takes a seat (``save``), and deleting it gives the seat back (``delete``). Rows are never updated,
except ``checked_in_at``, which only the functions of door.py set. ``book`` and ``cancel`` add the rules (booking.py),
for example one seat per user, and no change after the event has started. In the same way, the row of a place on a
waiting list and the event's count change together. ``join`` and ``leave`` add the rules (waitlist.py). Fixtures and SQL
bypass all this; ``manage.py check_seats`` finds the differences.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import Count, Index, OuterRef, Subquery, UniqueConstraint
from django.db.models.functions import Now

from event.journal import log_seats
from event.models import Event
from eventmanagement.database.queries import ClockTimestamp
from reservation import booking, door, waitlist
from reservation.exceptions import AlreadyCancelled

NOT_EDITED = "A reservation can't be changed. Cancel it and book again."
NOT_CHECKED_IN_YET = "checked_in_at can't be set directly. See Reservation.objects.check_in()."
PLACE_NOT_EDITED = "A place on a waiting list can't be changed."


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def checked_in(self) -> "ReservationQuerySet":
        return self.exclude(checked_in_at=None)

    def not_checked_in(self) -> "ReservationQuerySet":
        return self.filter(checked_in_at=None)

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

    def check_in(self, event_id: int, reservation_id: int) -> "Reservation":
        """Check in a reservation of the event. See ``door.check_in``."""
        return door.check_in(event_id, reservation_id)

    def undo_check_in(self, event_id: int, reservation_id: int) -> None:
        """Undo the check-in of a reservation of the event. See ``door.undo_check_in``."""
        door.undo_check_in(event_id, reservation_id)

    def take_back(self, event_id: int, reservation_id: int, *, by: int | None) -> None:
        """Take a seat back from an attendee, even if the event has started. See ``booking.release``.

        ``by`` is the id of the organizer, for the journal of seats. Raises AlreadyCancelled if this event has no such
        reservation.
        """
        deleted, _ = booking.release(self.filter(pk=reservation_id, event=event_id), by)
        if not deleted:
            raise AlreadyCancelled


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
    # Whether the user got the seat from the waiting list. With the default in the database, an older release can book.
    from_waitlist = models.BooleanField(db_default=False, editable=False)
    # When the user was checked in at the door, by the database's clock.
    checked_in_at = models.DateTimeField(null=True, editable=False)

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
        if self.checked_in_at is not None:
            raise TypeError(NOT_CHECKED_IN_YET)
        with transaction.atomic():
            self.event = Event.objects.take_seat(self.event_id)
            super().save(**options | {"force_insert": True})
            self.refresh_from_db(fields=["created_at", "from_waitlist"])
            self.log_taken()

    def delete(self, **options: Any) -> tuple[int, dict[str, int]]:  # type: ignore[override]
        """Delete the row and give its seat back, even if the event has started."""
        return Reservation.objects.filter(pk=self.pk).delete()

    def cancel(self) -> None:
        """Delete the reservation and give its seat back, unless it is checked in or the event has started.

        See ``booking.cancel``.
        """
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


class WaitlistQuerySet(models.QuerySet["WaitlistEntry"]):
    def with_positions(self) -> "WaitlistQuerySet":
        """Add each place's ``position`` on the waiting list of its event, starting at 1."""
        line = WaitlistEntry.objects.filter(event=OuterRef("event"), pk__lte=OuterRef("pk")).order_by()
        position = Subquery(line.values("event").annotate(number=Count("pk")).values("number"))
        # The plugin of mypy rejects an annotation that the class declares as well.
        return self.annotate(**{"position": position})

    def update(self, **changes: Any) -> int:
        raise TypeError(PLACE_NOT_EDITED)

    update.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    def bulk_create(self, *args: Any, **options: Any) -> list["WaitlistEntry"]:
        raise TypeError("Places on a waiting list can't be created in bulk. Join one by one.")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the places, even if their events have started. The people behind them move up."""
        return waitlist.remove(self)

    delete.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.
    delete.queryset_only = True  # type: ignore[attr-defined]  # A function's attribute.


WaitlistManagerFromQuerySet = models.Manager.from_queryset(WaitlistQuerySet)


class WaitlistManager(WaitlistManagerFromQuerySet["WaitlistEntry"]):
    def join(self, *, user: User, event_id: int) -> "WaitlistEntry":
        """Add the user to the end of the event's waiting list. See ``waitlist.join``."""
        return waitlist.join(user, event_id)


class WaitlistEntry(models.Model):
    """A person's place on the waiting list of a full event. The order of the list is that of the ids."""

    event = models.ForeignKey(
        Event,
        on_delete=models.CASCADE,
        related_name="waitlist",
        # The index waitlist_by_event covers this column.
        db_index=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        # As for a reservation: the receiver in signals.py removes the places first.
        on_delete=models.DO_NOTHING,
        related_name="waitlist",
        # The index of the unique constraint covers this column.
        db_index=False,
    )
    # As for a reservation: created_at and id have the same order.
    created_at = models.DateTimeField(db_default=ClockTimestamp(), editable=False)

    # The position on the waiting list, starting at 1. It is not stored. ``with_positions``, ``waitlist.set_positions``
    # and ``save`` set it, and so does the organizer's list.
    position: int

    objects = WaitlistManager()

    class Meta:
        ordering = ["id"]
        verbose_name = "place on a waiting list"
        verbose_name_plural = "places on waiting lists"
        # As for reservations.
        base_manager_name = "objects"
        constraints = [UniqueConstraint(name="waitlist_once_per_user_and_event", fields=["user", "event"])]
        indexes = [
            # For the order of the list, for the organizer's list, and for deleting an event.
            Index(name="waitlist_by_event", fields=["event", "id"]),
            # For the list of a user's own places.
            Index(name="waitlist_by_user", fields=["user", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.user} waits for {self.event}"

    def save(self, **options: Any) -> None:
        """Add one to the event's count and insert the row in one transaction.

        Raises AlreadyReserved, AlreadyWaiting, and the exceptions of ``Event.objects.add_waiting``.
        """
        if not self._state.adding:
            raise TypeError(PLACE_NOT_EDITED)
        with transaction.atomic():
            self.event = Event.objects.add_waiting(self.event_id)
            # This statement begins after the wait for the event's lock. A condition in the statement that waited would
            # see the rows from before the wait: not a reservation that the user got from the list meanwhile.
            waitlist.reasons_against_joining(self.user_id, self.event_id).raise_if_already_in()
            super().save(**options | {"force_insert": True})
            self.refresh_from_db(fields=["created_at"])
            self.position = self.event.waiting

    def delete(self, **options: Any) -> tuple[int, dict[str, int]]:  # type: ignore[override]
        """Delete the place, even if the event has started. The people behind it move up."""
        return WaitlistEntry.objects.filter(pk=self.pk).delete()

    def leave(self) -> None:
        """Leave the waiting list. See ``waitlist.leave``."""
        waitlist.leave(self.pk)


class CalendarKey(models.Model):
    """The secret in the address of a user's own calendar. Only its digest is stored."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="calendar_key")
    # SHA-256, in hexadecimal digits.
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [UniqueConstraint(name="calendar_key_is_unique", fields=["digest"])]

    def __str__(self) -> str:
        return f"the calendar key of {self.user}"
