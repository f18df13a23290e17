"""Serializer fields that check the length of a text before anything else."""

from typing import Any, TypeVar

from django.db import models
from rest_framework import serializers
from rest_framework.fields import empty

ModelT = TypeVar("ModelT", bound=models.Model)


class LengthFirstMixin(serializers.Field[str, str, str, Any]):
    """Refuse a text by its type and length before it is transformed or validated in any other way.

    For REST framework's CharField and its subclasses. Without the mixin they run every validator on a
    text that is too long already: patterns, and queries for a unique value. The length is that of the
    stripped text where the field strips. A subclass whose ``to_internal_value`` can make the text
    longer calls ``check_length`` on what it makes.
    """

    max_length: int | None
    trim_whitespace: bool

    def run_validation(self, data: Any = empty) -> Any:
        if data is not empty and data is not None:
            data = self._read(data)
        return super().run_validation(data)

    def check_length(self, text: str) -> None:
        """Raise ValidationError if the text is longer than the field's ``max_length``."""
        if self.max_length is not None and len(text) > self.max_length:
            self.fail("max_length", max_length=self.max_length)

    def _read(self, data: Any) -> str:
        # REST framework takes numbers for texts too, but would first write a list of any size as a text.
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            self.fail("invalid")
        try:
            text = data if isinstance(data, str) else str(data)
        except ValueError:
            # Python writes no number of more than 4300 digits.
            self.fail("invalid")
        if self.trim_whitespace:
            text = text.strip()
        self.check_length(text)
        return text


class CharField(LengthFirstMixin, serializers.CharField):
    """REST framework's, with the length checked first."""


class EmailField(LengthFirstMixin, serializers.EmailField):
    """REST framework's, with the length checked first."""


class ModelSerializer(serializers.ModelSerializer[ModelT]):
    """REST framework's, with these fields for texts."""

    serializer_field_mapping = serializers.ModelSerializer.serializer_field_mapping | {
        models.CharField: CharField,
        models.TextField: CharField,
        models.EmailField: EmailField,
    }
