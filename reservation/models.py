"""Reservations: each is one seat at one event, taken and given back with its row.

The rule is in three places, which are all there are: a row comes with a seat (``save``), goes
with one (``delete``), and is never edited. Booking and cancelling add who may and when.
"""

from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError, models, transaction
from django.db.models import Index, UniqueConstraint

from event.exceptions import EventStarted, SoldOut
from event.models import Event, log_seats
from eventmanagement.database import violates
from reservation.exceptions import AlreadyCancelled, AlreadyReserved


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
        with transaction.atomic(using=self.db):
            events = Event.objects.using(self.db)
            event_ids = set(self.order_by().values_list("event_id", flat=True))
            total: Counter[str] = Counter()
            for event_id in events.filter(pk__in=event_ids).locked().values_list("pk", flat=True):
                doomed = self.filter(event_id=event_id)
                holders = list(doomed.values_list("user_id", flat=True))
                deleted, by_model = models.QuerySet.delete(doomed)
                seats_left = Event.objects.give_back_seats(event_id, deleted)
                for nth, holder in enumerate(holders, start=1):
                    log_seats("returned", event=event_id, seats_left=seats_left - deleted + nth, user=holder)
                total.update(by_model)
            return total.total(), dict(total)

    delete.alters_data = True
    delete.queryset_only = True


class ReservationManager(models.Manager.from_queryset(ReservationQuerySet)):
    def book(self, *, user: AbstractUser, event_id: int) -> "Reservation":
        """Reserve one seat for the user; the reservation's event is as it is with that seat taken.

        Raises AlreadyReserved, SoldOut or EventStarted, or Event.DoesNotExist. Whoever holds a
        seat hears of that before anything else, so that a lost answer is never a lost seat.
        """
        try:
            return self.create(user=user, event_id=event_id)
        except (SoldOut, EventStarted):
            held = self.filter(user=user, event_id=event_id).first()
            if held is None:
                raise
            raise AlreadyReserved(held.pk) from None
        except IntegrityError as error:
            if not violates(error, self.model, "reservation_once_per_user_and_event"):
                raise
            raise AlreadyReserved(self.get(user=user, event_id=event_id).pk) from error


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
        constraints = [UniqueConstraint(name="reservation_once_per_user_and_event", fields=["user", "event"])]
        # An event's attendees in their order, and all that goes with an event.
        indexes = [Index(name="reservation_by_event", fields=["event", "id"])]

    def __str__(self) -> str:
        return f"{self.user} at {self.event}"

    def save(self, **options: Any) -> None:
        """Insert the row and take its seat, or do neither; raises what ``take_seat`` raises."""
        if not self._state.adding:
            raise TypeError("A reservation is not edited: cancel it and book again.")
        with transaction.atomic(using=options.get("using")):
            self.event = Event.objects.take_seat(self.event_id)
            super().save(**options)
            log_seats("taken", event=self.event_id, seats_left=self.event.seats_remaining, user=self.user_id)

    def delete(self, **options: Any) -> tuple[int, dict[str, int]]:
        """Delete the row and give its seat back, started event or not."""
        return type(self).objects.using(options.get("using")).filter(pk=self.pk).delete()

    def cancel(self) -> None:
        """Give the seat back while the event has not started.

        Raises EventStarted, or AlreadyCancelled where another transaction has deleted the row.
        """
        try:
            with transaction.atomic():
                seats_left = Event.objects.free_seat(self.event_id)
                deleted, _ = super().delete()
                if not deleted:
                    # Leaving so takes the freed seat back.
                    raise AlreadyCancelled
                log_seats("returned", event=self.event_id, seats_left=seats_left, user=self.user_id)
        except Event.DoesNotExist:
            raise AlreadyCancelled from None
