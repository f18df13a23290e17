"""Password validators: a maximum length, and revoking the token when the password changes."""

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from authentication.hashers import LONGEST_PASSWORD
from authentication.tokens import revoke_token


class MaximumLengthValidator:
    """Reject a password that is longer than the login accepts."""

    def validate(self, password: str, user: User | None = None) -> None:
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
    """Revoke the user's token after the password has changed; accept any password.

    Django calls ``password_changed`` whenever a user is saved after ``set_password()``: in the API, the
    admin, a shell and ``manage.py changepassword``. It does not when ``check_password()`` only upgrades the hash.
    The token was revoked before the save already (``authentication.signals``); here the one is revoked that a login
    with the old password has created in between.

    After ``set_unusable_password()`` and ``save()`` Django calls nothing: the token is revoked before the save only.
    ``save(update_fields=["password"])`` with a hash that was assigned is taken for an upgrade. A password that is
    written past ``save()``, by ``QuerySet.update(password=...)``, ``bulk_update()`` or SQL, leaves the token too:
    after these, call ``revoke_token``. Sessions end in all cases, because each holds a hash of the password's hash.
    """

    def validate(self, password: str, user: User | None = None) -> None:
        """Accept any password."""

    def password_changed(self, password: str, user: User) -> None:
        """Revoke the user's token. Django calls this after it has saved the user."""
        revoke_token(user)

    def get_help_text(self) -> str:
        return "A new password ends every session of the account and revokes its API token."
