"""Changing an account."""

from django.contrib.auth.models import User


def change_email(user: User, email: str) -> None:
    """Save the user's email address. Raises DoesNotExist if the user has been deleted."""
    user.email = User.objects.normalize_email(email)
    # save() would raise a DatabaseError for a user who has been deleted.
    if not User.objects.filter(pk=user.pk).update(email=user.email):
        raise User.DoesNotExist
