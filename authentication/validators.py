"""Password validators: a maximum length, and revoking the token when the password changes."""

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from authentication.hashers import MAX_PASSWORD_LENGTH
from authentication.tokens import revoke_token


class MaximumLengthValidator:
    """Reject a password that is longer than the login accepts."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raise ValidationError if the password is longer than MAX_PASSWORD_LENGTH characters."""
        if len(password) > MAX_PASSWORD_LENGTH:
            raise ValidationError(
                "This password is too long. It must contain at most %(max_length)d characters.",
                code="password_too_long",
                params={"max_length": MAX_PASSWORD_LENGTH},
            )

    def get_help_text(self) -> str:
        return f"Your password must contain at most {MAX_PASSWORD_LENGTH} characters."


class TokenRevokingValidator:
    """Revokes the user's token after the password has changed. It accepts any password.

    Django calls ``password_changed`` when a user is saved after ``set_password()``: in the API, in the admin, in a
    shell and in ``manage.py changepassword``. Django does not call it when ``check_password()`` only upgrades the
    hash. The receiver in ``authentication.signals`` has already revoked the token before the save. This validator
    revokes a token that a login with the old password has created in between.

    After ``set_unusable_password()`` and ``save()``, Django does not call it: the token is only revoked before the
    save. These changes don't revoke the token, so call ``revoke_token`` after them: ``QuerySet.update(password=...)``,
    ``bulk_update()``, SQL, and ``save(update_fields=["password"])`` with a hash that was assigned, which looks like an
    upgrade. Sessions end in all cases, because a session stores a hash of the password hash.
    """

    def validate(self, password: str, user: User | None = None) -> None:
        """Accept any password."""

    def password_changed(self, password: str, user: User) -> None:
        """Revoke the user's token. Django calls this after it has saved the user."""
        revoke_token(user)

    def get_help_text(self) -> str:
        return "A new password ends every session of the account and revokes its API token and calendar address."
