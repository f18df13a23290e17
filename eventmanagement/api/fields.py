"""Serializer fields that check the length of a string first, and a field for dates and times."""

from datetime import datetime
from typing import Any, TypeVar

from django.db import models
from rest_framework import serializers
from rest_framework.fields import empty

from eventmanagement.api.times import INVALID_TIME, parse_time
from eventmanagement.text_fields import NormalizedTextMixin, normalize

# Normalizing to NFC can make a text up to four times shorter.
MAX_SHORTENING = 4

ModelT = TypeVar("ModelT", bound=models.Model)


class CheckLengthFirstMixin(serializers.Field[str, str, str, Any]):
    """Check the type and length of a string before any other validation or transformation.

    For REST framework's CharField and its subclasses. Without this mixin they run all validators even on a string
    that is too long, including regular expressions and uniqueness queries. If the field strips whitespace, the
    length is checked after stripping. A subclass whose ``to_internal_value`` can make the string longer must call
    ``check_length`` on the result.
    """

    max_length: int | None
    trim_whitespace: bool

    def run_validation(self, data: Any = empty) -> Any:
        if data is not empty and data is not None:
            data = self._to_string(data)
        return super().run_validation(data)

    def check_length(self, text: str) -> None:
        """Raise ValidationError if the string is longer than the field's ``max_length``."""
        if self.max_length is not None and len(text) > self.max_length:
            self.fail("max_length", max_length=self.max_length)

    def _to_string(self, data: Any) -> str:
        # Accept numbers, like REST framework, which would convert even a huge list to a string before rejecting it.
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            self.fail("invalid")
        try:
            text = data if isinstance(data, str) else str(data)
        except ValueError:
            # str() raises ValueError for an integer of more than 4,300 digits.
            self.fail("invalid")
        return self.normalize(text.strip() if self.trim_whitespace else text)

    def normalize(self, text: str) -> str:
        """Check the length of the text. A subclass may return the text in another form."""
        self.check_length(text)
        return text


class CharField(CheckLengthFirstMixin, serializers.CharField):
    """REST framework's CharField, which checks the length first."""


class NormalizedCharField(CharField):
    """Normalizes a text to NFC. Checks a rough length limit before that, and the exact limit afterwards."""

    def normalize(self, text: str) -> str:
        if self.max_length is not None and len(text) > self.max_length * MAX_SHORTENING:
            self.fail("max_length", max_length=self.max_length)
        return super().normalize(normalize(text))


class EmailField(CheckLengthFirstMixin, serializers.EmailField):
    """REST framework's EmailField, which checks the length first, and refuses invisible characters."""

    def to_internal_value(self, data: Any) -> str:
        text: str = super().to_internal_value(data)
        if not text.isprintable():
            self.fail("invalid")
        return text


class DateTimeField(serializers.DateTimeField):
    """REST framework's DateTimeField, which reads only the formats of ``parse_time``."""

    default_error_messages = {"invalid": INVALID_TIME}

    def to_internal_value(self, value: Any) -> datetime:
        if isinstance(value, str):
            try:
                value = parse_time(value)
            except ValueError as error:
                raise serializers.ValidationError([str(error)], code="invalid") from None
        elif not isinstance(value, datetime):
            self.fail("invalid")
        return super().to_internal_value(value)


class ModelSerializer(serializers.ModelSerializer[ModelT]):
    """REST framework's ModelSerializer, which uses these fields for strings and times."""

    serializer_field_mapping = serializers.ModelSerializer.serializer_field_mapping | {
        NormalizedTextMixin: NormalizedCharField,
        models.CharField: CharField,
        models.TextField: CharField,
        models.EmailField: EmailField,
        models.DateTimeField: DateTimeField,
    }
