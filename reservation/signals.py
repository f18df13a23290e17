"""The one deletion that passes no method of ours: Django's own User takes its rows along."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from event.models import Event
from reservation.models import Reservation


@receiver(pre_delete, sender=User)
def give_seats_back(instance: User, origin: Any, **kwargs: Any) -> None:
    """Cancel what a user holds who is about to be deleted, in the transaction that deletes them.

    Where many are deleted at once, the events of all are locked first, in the one order.
    """
    if isinstance(origin, QuerySet) and origin.model is type(instance):
        held = Reservation.objects.filter(user__in=origin)
        Event.objects.filter(pk__in=held.values("event_id")).lock()
    Reservation.objects.filter(user=instance).delete()
