"""Model and form fields for text that people write.

The text is stored and searched in Unicode's normalization form NFC. Otherwise a search for "é" as one character would
not find "é" as a letter and an accent. Line breaks are stored as ``\\n``; browsers send ``\\r\\n``.
"""

from typing import Any
from unicodedata import category
from unicodedata import normalize as normalize_unicode

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from eventmanagement.api.text import has_control, has_visible

# The limit of Unicode's Stream-Safe Text Format (UAX 15). Normalizing sorts the combining marks of a letter, and the
# time it takes is quadratic in their number: 10,000 of them took 0.2 seconds.
MAX_COMBINING_MARKS = 30
TOO_MANY_MARKS = f"A letter can have at most {MAX_COMBINING_MARKS} accents or other combining marks."
NOTHING_VISIBLE = "This text has no visible character."
CONTROL_IN_LINE = "This text can't contain line breaks or other control characters."
CONTROL_IN_TEXT = "This text can't contain control characters, except line breaks and tabs."


def normalize(text: str) -> str:
    """Return the text in NFC, with ``\\n`` for each line break.

    Raises ValidationError if more than ``MAX_COMBINING_MARKS`` combining marks follow each other.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text
    marks = 0
    for character in text:
        marks = marks + 1 if category(character)[0] == "M" else 0
        if marks > MAX_COMBINING_MARKS:
            raise ValidationError(TOO_MANY_MARKS, code="too_many_marks")
    return normalize_unicode("NFC", text)


def validate_line(text: str) -> None:
    """Raise ValidationError if the text has no visible character, or if it has a control character."""
    if not has_visible(text):
        raise ValidationError(NOTHING_VISIBLE, code="invisible")
    if has_control(text):
        raise ValidationError(CONTROL_IN_LINE, code="control_character")


def validate_text(text: str) -> None:
    """Raise ValidationError if the text has a control character other than a line break or a tab."""
    if has_control(text.replace("\n", "").replace("\t", "")):
        raise ValidationError(CONTROL_IN_TEXT, code="control_character")


class NormalizedFormField(forms.CharField):
    """Normalizes the text before its length is checked."""

    def to_python(self, value: Any) -> str | None:
        text = super().to_python(value)
        return text and normalize(text)


class NormalizedTextMixin(models.Field):  # type: ignore[type-arg]  # Not generic at runtime.
    """Normalizes the text when it is validated and when it is saved."""

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return normalize(value) if isinstance(value, str) else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Also set the normalized text on the instance, so that it is the same as in the database."""
        value = super().pre_save(model_instance, add)
        if isinstance(value, str):
            value = normalize(value)
            setattr(model_instance, self.attname, value)
        return value

    def formfield(self, **options: Any) -> Any:  # type: ignore[override]
        return super().formfield(**{"form_class": NormalizedFormField} | options)

    def deconstruct(self) -> Any:
        """Return Django's own field, so that migrations don't import this one. The column is the same."""
        name, _, args, options = super().deconstruct()
        return name, f"django.db.models.{self.get_internal_type()}", args, options


class LineField(NormalizedTextMixin, models.CharField):  # type: ignore[type-arg]  # Not generic at runtime.
    """One line of text with at least one visible character."""

    default_validators = [validate_line]


class TextField(NormalizedTextMixin, models.TextField):  # type: ignore[type-arg]  # Not generic at runtime.
    """Text of any number of lines."""

    default_validators = [validate_text]
