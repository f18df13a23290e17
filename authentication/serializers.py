from typing import Any

from django.contrib.auth import password_validation
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, transaction
from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from authentication.hashers import LONGEST_PASSWORD
from eventmanagement.api.fields import CharField, ModelSerializer

USERNAME_TAKEN = "A user with that username already exists."
LONGEST_USERNAME: int = User._meta.get_field("username").max_length  # type: ignore[assignment]  # Not None here.


class UsernameField(CharField):
    """A username in the form that is stored, so that look-alikes of one name are that name (NFKC)."""

    def to_internal_value(self, data: Any) -> str:
        username = User.normalize_username(super().to_internal_value(data))
        # Normalizing makes up to eighteen characters of one.
        self.check_length(username)
        return username


class PasswordField(CharField):
    def __init__(self, **options: Any) -> None:
        # A space is part of a password like any other character.
        style = {"input_type": "password"}
        super().__init__(write_only=True, trim_whitespace=False, max_length=LONGEST_PASSWORD, style=style, **options)


class SignupSerializer(ModelSerializer[User]):
    username = UsernameField(
        max_length=LONGEST_USERNAME,
        help_text="Letters and digits of any script, and @ . + - _",
        validators=[User.username_validator, UniqueValidator(User.objects.all(), message=USERNAME_TAKEN)],
    )
    password = PasswordField()

    class Meta:
        model = User
        fields = ["id", "username", "email", "password"]

    def validate(self, account: dict[str, Any]) -> dict[str, Any]:
        """Run Django's password validators, which want to know whose password it is."""
        user = User(username=account["username"], email=account.get("email", ""))
        try:
            password_validation.validate_password(account["password"], user)
        except DjangoValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from None
        return account

    def create(self, account: dict[str, Any]) -> User:
        user = User(username=account["username"], email=User.objects.normalize_email(account.get("email", "")))
        # Before the transaction: a hash takes its time, and on SQLite nobody could write meanwhile.
        user.set_password(account["password"])
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError:
            if not User.objects.filter(username=account["username"]).exists():
                raise
            # Somebody else took it between the check and now.
            raise serializers.ValidationError({"username": [USERNAME_TAKEN]}) from None
        return user


class CredentialsSerializer(serializers.Serializer[Any]):
    username = UsernameField(max_length=LONGEST_USERNAME)
    password = PasswordField()


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(source="key")
