"""Password validators: what a password may be, and what ends with the old one."""

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError

from authentication.hashers import LONGEST_PASSWORD
from authentication.tokens import revoke_token


class MaximumLengthValidator:
    """Refuse a password that is too long to hash; no login would accept it."""

    def validate(self, password: str, user: AbstractUser | None = None) -> None:
        """Raise ValidationError if the password is longer than LONGEST_PASSWORD characters."""
        if len(password) > LONGEST_PASSWORD:
            raise ValidationError(
                "This password is too long. It must contain at most %(max_length)d characters.",
                code="password_too_long",
                params={"max_length": LONGEST_PASSWORD},
            )

    def get_help_text(self) -> str:
        return f"Your password must contain at most {LONGEST_PASSWORD} characters."


class TokenRevokingValidator:
    """Revoke the user's token when the password has changed; accept any password.

    Django calls ``password_changed`` whenever a user is saved after ``set_password()``: in the API, the
    admin, a shell and ``manage.py changepassword``. It does not when a login only upgrades the hash. A password
    that is written past ``save()``, by ``QuerySet.update(password=...)``, ``bulk_update()`` or SQL, or that is made
    unusable by ``set_unusable_password()``, leaves the token: whoever does so calls ``revoke_token`` too.
    Sessions end in all of these, because each holds a hash of the password's hash.
    """

    def validate(self, password: str, user: AbstractUser | None = None) -> None:
        """Accept any password."""

    def password_changed(self, password: str, user: AbstractUser) -> None:
        """Revoke the token of this user, who has been saved."""
        revoke_token(user)

    def get_help_text(self) -> str:
        return "A new password ends every session of the account and revokes its API token."
