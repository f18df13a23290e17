"""Changing and deleting an account."""

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import password_changed
from django.db.models import ProtectedError
from rest_framework.authtoken.models import Token

from authentication.exceptions import OrganizesEvents
from authentication.tokens import run_if_password_still_matches


def change_email(user: User, email: str) -> None:
    """Save the user's email address. Raises DoesNotExist if the user has been deleted."""
    user.email = User.objects.normalize_email(email)
    # save() would raise a DatabaseError for a user who has been deleted.
    if not User.objects.filter(pk=user.pk).update(email=user.email):
        raise User.DoesNotExist


def change_password(user: User, password: str, new_password: str) -> Token | None:
    """Set the new password of a user whose password has just been checked. Returns a new token.

    The old token and all sessions become invalid. Returns None if the password is no longer right, for example
    because another request has changed it. Raises Unavailable.
    """
    # Hash before the transaction begins, because hashing is too slow to hold a row lock.
    new_hash = make_password(new_password)

    def change(current: User) -> Token:
        current.password = new_hash
        current.save(update_fields=["password"])
        # This revokes the token. save() calls it only after set_password(), which would hash within the transaction.
        password_changed(new_password, current)
        return Token.objects.create(user=current)

    return run_if_password_still_matches(user, password, change)


def delete_account(user: User, password: str) -> bool:
    """Delete a user whose password has just been checked, with everything that depends on the account.

    Returns False if the password is no longer right. Raises OrganizesEvents, or Unavailable if rows that reference
    the user, such as bookings, are added during every attempt.
    """

    def delete(current: User) -> bool:
        try:
            current.delete()
        except ProtectedError:
            raise OrganizesEvents from None
        return True

    return run_if_password_still_matches(user, password, delete) or False
