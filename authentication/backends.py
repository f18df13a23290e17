"""Checking a password."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.http import HttpRequest


class PasswordBackend(ModelBackend):
    """Django's backend, which upgrades a hash only while it is still the one that was checked.

    Django's own overwrites the stored hash with one of the password that was typed. If the password is changed
    during the check, that brings the old password back.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Give the active user of this username and password, or None."""
        if username is None or password is None:
            return None
        try:
            user = User.objects.get_by_natural_key(username)
        except User.DoesNotExist:
            # A hash of the same cost: the time does not tell that there is no such user.
            make_password(password)
            return None

        def upgrade(password: str) -> None:
            upgraded = make_password(password)
            if User.objects.filter(pk=user.pk, password=user.password).update(password=upgraded):
                user.password = upgraded

        is_right = check_password(password, user.password, upgrade)
        return user if is_right and self.user_can_authenticate(user) else None
