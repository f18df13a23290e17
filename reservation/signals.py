"""The one deletion that passes no method of ours: Django's own User takes its rows along."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db.models import QuerySet
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from reservation.models import Reservation


@receiver(pre_delete, sender=get_user_model())
def give_seats_back(instance: AbstractUser, origin: Any, using: str, **kwargs: Any) -> None:
    """Cancel what the users who are about to be deleted hold, in the transaction that deletes them.

    All of them at once where they are deleted at once, so that events are locked in one order.
    """
    together = isinstance(origin, QuerySet) and origin.model is type(instance)
    users = origin if together else [instance]
    Reservation.objects.using(using).filter(user__in=users).delete()
