"""The authentication backend."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.http import HttpRequest


class PasswordBackend(ModelBackend):
    """Like Django's ModelBackend, but upgrades a password hash only if it has not changed since it was checked.

    ModelBackend overwrites the stored hash with a new hash of the submitted password. If the password is changed
    during the check, that restores the old password.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """Return the active user with this username and password, or None."""
        if username is None or password is None:
            return None
        try:
            user = User.objects.get_by_natural_key(username)
        except User.DoesNotExist:
            # Compute a hash anyway, so that the response time does not reveal that the user does not exist.
            make_password(password)
            return None

        def upgrade(password: str) -> None:
            upgraded = make_password(password)
            if User.objects.filter(pk=user.pk, password=user.password).update(password=upgraded):
                user.password = upgraded

        password_matches = check_password(password, user.password, upgrade)
        return user if password_matches and self.user_can_authenticate(user) else None
