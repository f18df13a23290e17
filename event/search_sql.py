"""An index search for words of two characters, on PostgreSQL.

The trigram index (migration 0003) only helps with words of three or more characters. For a rare word of two
characters, PostgreSQL had to scan all events: with 300,000 events, one second for the count and one for the page.
With the bigram index of migration 0004, each takes less than a millisecond. The search adds a condition that uses
this index and is true for every event that contains the word, so the result does not change.
tests/event/test_search.py checks this.
"""

from django.db.models import F, Func, TextField, Value
from django.db.models.lookups import PostgresOperatorLookup

BIGRAM_LENGTH = 2


class Bigrams(Func):
    """All pairs of adjacent characters (bigrams) of the given texts in upper case, as in the index."""

    template = "event_pairs(UPPER(%(expressions)s))"
    arg_joiner = " || E'\\n' || "
    output_field = TextField()


class ContainsAll(PostgresOperatorLookup):  # type: ignore[type-arg]  # Not generic at runtime.
    lookup_name = "contains_all"
    postgres_operator = "@>"


def contains_bigrams(word: str) -> ContainsAll:
    """Return the condition that the title and description contain every bigram of the word."""
    return ContainsAll(Bigrams(F("title"), F("description")), Bigrams(Value(word, TextField())))
