"""What happens to a user's reservations, places on waiting lists and calendar key when the user changes.

Django's User model can't do that in its own methods.
"""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from event.models import Event
from eventmanagement.signals import credentials_revoked
from reservation.models import CalendarKey, Reservation, WaitlistEntry


def lock_users(users: QuerySet[User]) -> None:
    """Lock these users, then the events of their reservations and places, until the transaction ends.

    Both in the order of their ids. Bookings don't wait for the lock of a user.
    """
    list(users.order_by("pk").select_for_update(no_key=True).values_list("pk"))
    held, waiting = (model.objects.filter(user__in=users).order_by() for model in (Reservation, WaitlistEntry))
    Event.objects.filter(pk__in=held.values("event_id").union(waiting.values("event_id"))).lock()


@receiver(pre_delete, sender=User)
def cancel_reservations(instance: User, origin: Any, **kwargs: Any) -> None:
    """Remove the places of a user who is about to be deleted, and cancel the reservations, in the same transaction.

    Locks the user before the events, as the deletion of one's own account does. If a queryset of users is deleted, all
    of them and the events of all of them are locked with the first user, in the order of their ids. Repeated for each
    user, that would take quadratic time.

    A seat of one of these users may go to another one from the waiting list. It is cancelled when that user is deleted,
    and goes to the next person on the list.
    """
    if isinstance(origin, QuerySet) and origin.model is type(instance):
        # Django deletes the users in the order of their ids. If the order begins again, the same queryset is deleted
        # once more, for example after a rollback.
        if instance.pk <= getattr(origin, "last_deleted_user", instance.pk):
            lock_users(User.objects.filter(pk__in=origin))
        origin.last_deleted_user = instance.pk  # type: ignore[attr-defined]
    else:
        lock_users(User.objects.filter(pk=instance.pk))
    for model in (WaitlistEntry, Reservation):
        rows = model.objects.filter(user=instance)
        if rows.exists():
            rows.delete()


@receiver(credentials_revoked)
def delete_calendar_keys(user_ids: list[int], **kwargs: Any) -> list[int]:
    """Delete the calendar keys of these users. Returns the ids of those who had one."""
    keys = CalendarKey.objects.filter(user__in=user_ids)
    holders = list(keys.values_list("user_id", flat=True))
    keys.delete()
    return holders
