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

    If a queryset of users is deleted, the events of all of them are locked first, in the order of their ids.
    """
    if isinstance(origin, QuerySet) and origin.model is type(instance):
        held = Reservation.objects.filter(user__in=origin)
        Event.objects.filter(pk__in=held.values("event_id")).lock()
    Reservation.objects.filter(user=instance).delete()
