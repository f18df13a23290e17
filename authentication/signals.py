"""What ends with an account's activity."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db.models.signals import post_save
from django.dispatch import receiver

from authentication.tokens import revoke_token


@receiver(post_save, sender=get_user_model())
def revoke_token_of_inactive_user(instance: AbstractUser, **kwargs: Any) -> None:
    """Revoke the token of a user who is saved as inactive, so that it is void after a reactivation too.

    ``QuerySet.update(is_active=False)`` sends no signal: the token is refused then, but comes back with the
    reactivation.
    """
    if not instance.is_active:
        revoke_token(instance)
