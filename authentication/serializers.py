from typing import Any

from django.contrib.auth import password_validation
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, transaction
from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from authentication.accounts import change_email
from authentication.hashers import MAX_PASSWORD_LENGTH
from authentication.usernames import MAX_USERNAME_LENGTH, USERNAME_TAKEN, is_taken, lock_username, validate_visible
from eventmanagement.api.fields import CharField, ModelSerializer


class UsernameField(CharField):
    """Normalizes a username to NFKC, as Django stores it, so that equivalent spellings are the same username."""

    def to_internal_value(self, data: Any) -> str:
        username = User.normalize_username(super().to_internal_value(data))
        # NFKC can expand one character to eighteen.
        self.check_length(username)
        return username


class PasswordField(CharField):
    def __init__(self, **options: Any) -> None:
        # Spaces at the beginning or end are part of the password.
        style = {"input_type": "password"}
        super().__init__(write_only=True, trim_whitespace=False, max_length=MAX_PASSWORD_LENGTH, style=style, **options)


def validate_new_password(field: str, password: str, user: User) -> None:
    """Run Django's password validators, which compare the password with the user's name and email address.

    Raises ValidationError with the messages on this field.
    """
    try:
        password_validation.validate_password(password, user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from None


class AccountSerializer(ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["id", "username", "email"]
        read_only_fields = ["username"]

    def update(self, user: User, changes: dict[str, Any]) -> User:
        if "email" in changes:
            change_email(user, changes["email"])
        return user


class SignupSerializer(ModelSerializer[User]):
    username = UsernameField(
        max_length=MAX_USERNAME_LENGTH,
        help_text="Letters and digits, and @ . + - _. Combining marks are refused, such as the vowel signs of "
        "Devanagari, Bengali, Tamil and Thai. The username must differ from all others by more than case.",
        validators=[
            User.username_validator,
            validate_visible,
            UniqueValidator(User.objects.all(), message=USERNAME_TAKEN, lookup="iexact"),
        ],
    )
    password = PasswordField()

    class Meta:
        model = User
        fields = ["id", "username", "email", "password"]

    def validate(self, account: dict[str, Any]) -> dict[str, Any]:
        user = User(username=account["username"], email=account.get("email", ""))
        validate_new_password("password", account["password"], user)
        return account

    def create(self, account: dict[str, Any]) -> User:
        user = User(username=account["username"], email=User.objects.normalize_email(account.get("email", "")))
        # Hash before the transaction begins: hashing is slow, and on SQLite a transaction blocks all other writers.
        user.set_password(account["password"])
        try:
            with transaction.atomic():
                # Another sign-up may have taken the username since the validator's check.
                lock_username(user.username)
                if is_taken(user.username):
                    raise serializers.ValidationError({"username": [USERNAME_TAKEN]})
                user.save()
        except IntegrityError:
            # Other code, which does not lock the username, took it after this check.
            if not is_taken(user.username):
                raise
            raise serializers.ValidationError({"username": [USERNAME_TAKEN]}) from None
        return user


class CredentialsSerializer(serializers.Serializer[Any]):
    username = UsernameField(max_length=MAX_USERNAME_LENGTH)
    password = PasswordField()


class PasswordChangeSerializer(serializers.Serializer[Any]):
    old_password = PasswordField()
    new_password = PasswordField()


class AccountDeletionSerializer(serializers.Serializer[Any]):
    password = PasswordField()


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(source="key")
