"""The door of an event: checking reservations in, and undoing that.

A check-in sets ``checked_in_at`` with one conditional update, only if it is NULL. So several scanners agree on one
time. The owner of a reservation that is checked in can't cancel it: the DELETE of a cancellation has the same
condition. All code locks the event's row before it changes reservations, and locks several events in the order of their
ids. So calling the event off and checking somebody in can't happen at the same time.
"""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from event.exceptions import EventCancelled
from event.models import Event
from eventmanagement.database.queries import ClockTimestamp
from reservation import models
from reservation.booking import batches


def check_in(event_id: int, reservation_id: int) -> "models.Reservation":
    """Check a reservation of this event in. If it is checked in already, it keeps its time. Returns the reservation.

    Raises Reservation.DoesNotExist if this event has no such reservation, EventCancelled if the event was called off,
    Event.DoesNotExist, or Unavailable if the event's row stays locked.
    """
    reservation = models.Reservation.objects.filter(pk=reservation_id, event=event_id)
    with transaction.atomic():
        event = Event.objects.lock_briefly(event_id)
        if not event.is_cancelled:
            _update(reservation.filter(checked_in_at=None), ClockTimestamp())
        found = reservation.select_related("user").get()
        if event.is_cancelled:
            raise EventCancelled
    return found


def undo_check_in(event_id: int, reservation_id: int) -> None:
    """Undo the check-in of a reservation of this event. If it is not checked in, nothing changes.

    Raises Reservation.DoesNotExist if this event has no such reservation, Event.DoesNotExist, or Unavailable if the
    event's row stays locked.
    """
    reservation = models.Reservation.objects.filter(pk=reservation_id, event=event_id)
    with transaction.atomic():
        Event.objects.lock_briefly(event_id)
        if not _update(reservation, None):
            raise models.Reservation.DoesNotExist


def check_in_all(reservations: "QuerySet[models.Reservation]") -> list[int]:
    """Check these reservations in, except at events that were called off.

    Returns the ids of those that this call has checked in. All events stay locked until the transaction ends.
    """
    return _update_all(reservations.filter(checked_in_at=None, event__cancelled_at=None), ClockTimestamp())


def undo_all(reservations: "QuerySet[models.Reservation]") -> list[int]:
    """Undo the check-ins of these reservations. Returns the ids of those whose check-in this call has undone."""
    return _update_all(reservations.exclude(checked_in_at=None), None)


def _update_all(reservations: "QuerySet[models.Reservation]", checked_in_at: Any) -> list[int]:
    """Lock the events of the reservations, and then set ``checked_in_at`` of those that still match the queryset."""
    with transaction.atomic():
        event_ids = {*reservations.order_by().values_list("event_id", flat=True)}
        for batch in batches(sorted(event_ids)):
            Event.objects.filter(pk__in=batch).lock()
        # This statement begins after the waits for the locks.
        ids = sorted(reservations.filter(event__in=event_ids).order_by().values_list("pk", flat=True))
        for batch in batches(ids):
            _update(models.Reservation.objects.filter(pk__in=batch), checked_in_at)
    return ids


def _update(reservations: "QuerySet[models.Reservation]", checked_in_at: Any) -> int:
    """Set ``checked_in_at``. The caller must hold the locks of the events."""
    return QuerySet.update(reservations, checked_in_at=checked_in_at)
