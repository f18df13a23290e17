"""Revokes the token of a user who is saved as inactive or with another password."""

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import User
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver

from authentication.tokens import revoke_token, revoke_token_if_password_changed


@receiver(pre_save, sender=User)
def revoke_token_before_save(instance: User, update_fields: Collection[str] | None, **kwargs: Any) -> None:
    """Revoke the token of a user who is about to be saved as inactive or with another password hash.

    Outside of a transaction, each statement is committed separately. If the revocation fails, the user is not saved,
    so a token of the old password is never valid together with the new password. A login may create another token
    before the save. That one is revoked after the save, by the receiver below or by ``TokenRevokingValidator``.
    """
    if instance.pk is None:
        return
    if _writes("is_active", update_fields) and not instance.is_active:
        revoke_token(instance)
    elif _writes("password", update_fields) and not _only_upgrades_hash(instance, update_fields):
        revoke_token_if_password_changed(instance)


@receiver(post_save, sender=User)
def revoke_token_of_inactive_user(instance: User, **kwargs: Any) -> None:
    """Revoke the token of a user who is saved as inactive, so that it stays invalid after a reactivation.

    ``QuerySet.update(is_active=False)`` sends no signal. The token is then rejected while the user is inactive,
    but works again after a reactivation.
    """
    if not instance.is_active:
        revoke_token(instance)


def _writes(field: str, update_fields: Collection[str] | None) -> bool:
    return update_fields is None or field in update_fields


def _only_upgrades_hash(user: User, update_fields: Collection[str] | None) -> bool:
    """Return whether this save comes from ``check_password()``, which upgrades the hash of the same password.

    It saves only this field, and without the raw password that ``set_password()`` keeps until the user is saved.
    """
    has_raw_password = user._password is not None  # type: ignore[attr-defined]  # Unknown to the stubs.
    return update_fields == {"password"} and not has_raw_password and user.has_usable_password()
