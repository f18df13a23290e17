"""What a search may ask for, in the API and in the admin."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

# Characters: as many as a title has.
LONGEST_SEARCH = 200
# The database looks for each word by itself, so that each costs as much as a search of its own.
MOST_WORDS = 6
TOO_MANY_WORDS = "A search has six words at most."


def check_word_count(text: str) -> None:
    """Raise ValidationError where the text has more than ``MOST_WORDS`` words."""
    if len(text.split()) > MOST_WORDS:
        raise ValidationError(TOO_MANY_WORDS, code="too_many_words")


class SearchField(forms.CharField):
    """The words to look for: ``LONGEST_SEARCH`` characters and ``MOST_WORDS`` words at most."""

    default_validators = [check_word_count]

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=LONGEST_SEARCH, **options)
