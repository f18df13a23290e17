"""The limits of a search, in the API and in the admin."""

from typing import Any

from django.core.exceptions import ValidationError

from eventmanagement.text_fields import NormalizedFormField

# In characters: the maximum length of a title.
MAX_SEARCH_LENGTH = 200
# The database searches for each word separately, so the cost grows with the number of words.
MAX_SEARCH_WORDS = 6
TOO_MANY_WORDS = "A search can have at most six words."


def check_word_count(text: str) -> None:
    """Raise ValidationError if the text has more than ``MAX_SEARCH_WORDS`` words."""
    if len(text.split()) > MAX_SEARCH_WORDS:
        raise ValidationError(TOO_MANY_WORDS, code="too_many_words")


class SearchField(NormalizedFormField):
    """The search text in NFC: at most ``MAX_SEARCH_LENGTH`` characters and ``MAX_SEARCH_WORDS`` words."""

    default_validators = [check_word_count]

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_SEARCH_LENGTH, **options)
