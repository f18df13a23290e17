"""Normalizing text takes linear time, and the fields need no migration of their own."""

import unicodedata

import pytest
from django.core.exceptions import ValidationError
from django.db import models

from event.models import Event
from eventmanagement import text_fields
from eventmanagement.api.fields import MAX_SHORTENING
from eventmanagement.text_fields import MAX_COMBINING_MARKS, normalize


@pytest.fixture
def normalized(monkeypatch):
    """Collect the texts that are passed to Unicode's normalization."""
    texts = []

    def watch(form, text):
        texts.append(text)
        return unicodedata.normalize(form, text)

    monkeypatch.setattr(text_fields, "normalize_unicode", watch)
    return texts


# U+0F73 is a mark that the normalization splits into two marks and sorts, although its combining class is 0.
@pytest.mark.parametrize("marks", ["\u0300\u0316", "\u0f73", "\u0316"])
def test_many_marks_in_a_row_are_refused_before_they_are_sorted(normalized, marks):
    with pytest.raises(ValidationError):
        normalize("a" + marks * (MAX_COMBINING_MARKS + 1))

    assert normalized == []


def test_marks_of_many_letters_are_normalized(normalized):
    text = ("a" + "\u0316" * MAX_COMBINING_MARKS) * 100

    assert normalize(text) == text
    assert normalized == [text]


def test_ascii_is_not_normalized(normalized):
    assert normalize("a\r\nb") == "a\nb"
    assert normalized == []


def test_every_character_that_is_decomposed_with_a_mark_first_is_a_mark():
    """Otherwise a run of such characters would not be counted."""
    characters = map(chr, range(0x110000))
    starts_with_mark = [
        character for character in characters if unicodedata.combining(unicodedata.normalize("NFD", character)[0])
    ]

    assert {unicodedata.category(character)[0] for character in starts_with_mark} == {"M"}


def test_no_character_is_shortened_more_than_promised():
    characters = map(chr, range(0x110000))

    assert max(len(unicodedata.normalize("NFD", character)) for character in characters) == MAX_SHORTENING


@pytest.mark.parametrize(("name", "django"), [("title", models.CharField), ("description", models.TextField)])
def test_migrations_see_fields_of_django(name, django):
    _, path, _, options = Event._meta.get_field(name).deconstruct()

    assert path == f"django.db.models.{django.__name__}"
    assert options.keys() <= {"max_length", "blank"}
