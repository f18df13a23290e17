"""Cancels the reservations of a user who is deleted. Django's User model can't do that in a ``delete`` method."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from event.models import Event
from reservation.models import Reservation


@receiver(pre_delete, sender=User)
def cancel_reservations(instance: User, origin: Any, **kwargs: Any) -> None:
    """Cancel the reservations of a user who is about to be deleted, in the same transaction.

    For a queryset of users, the signal of the first user locks the events of all users, in the order of the event ids.
    """
    if isinstance(origin, QuerySet) and origin.model is type(instance) and not hasattr(origin, "events_are_locked"):
        of_all = Reservation.objects.filter(user__in=origin)
        Event.objects.filter(pk__in=of_all.values("event_id")).lock()
        # Lock once for each deletion. Repeated for each user, it would take quadratic time.
        origin.events_are_locked = True  # type: ignore[attr-defined]
    held = Reservation.objects.filter(user=instance)
    if held.exists():
        held.delete()
