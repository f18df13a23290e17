"""Cancels the reservations of a user who is deleted. Django's User model can't do that in a ``delete`` method."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from event.models import Event
from reservation.models import Reservation


def lock_users(users: QuerySet[User]) -> None:
    """Lock these users until the transaction ends, in the order of their ids. Bookings don't wait for this lock."""
    list(users.order_by("pk").select_for_update(no_key=True).values_list("pk"))


@receiver(pre_delete, sender=User)
def cancel_reservations(instance: User, origin: Any, **kwargs: Any) -> None:
    """Cancel the reservations of a user who is about to be deleted, in the same transaction.

    Locks the user before the events of the reservations, as users do who delete their own account. If a queryset of
    users is deleted, all of them and the events of all of them are locked with the first user, in the order of their
    ids. Repeated for each user, that would take quadratic time.
    """
    if isinstance(origin, QuerySet) and origin.model is type(instance):
        # Django deletes the users in the order of their ids. If the order begins again, the same queryset is deleted
        # once more, for example after a rollback.
        if instance.pk <= getattr(origin, "last_deleted_user", instance.pk):
            lock_users(User.objects.filter(pk__in=origin))
            of_all = Reservation.objects.filter(user__in=origin)
            Event.objects.filter(pk__in=of_all.values("event_id")).lock()
        origin.last_deleted_user = instance.pk  # type: ignore[attr-defined]
    else:
        lock_users(User.objects.filter(pk=instance.pk))
    held = Reservation.objects.filter(user=instance)
    if held.exists():
        held.delete()
