"""Finding words of two characters by an index, on PostgreSQL.

The index of trigrams (migration 0003) serves words of three characters and more. For a rare word of two
PostgreSQL read every event: of 300,000, a second for the count and a second for the page. By the index of
migration 0004 each takes it less than a millisecond. The index serves one more condition, which every
event with the word meets, so that the same events are found: tests/event/test_search.py compares them.
"""

from django.db.models import F, Func, TextField, Value
from django.db.models.lookups import PostgresOperatorLookup

PAIR = 2


class Pairs(Func):
    """Each two characters that follow one another in texts, in upper case, as the index has them."""

    template = "event_pairs(UPPER(%(expressions)s))"
    arg_joiner = " || E'\\n' || "
    output_field = TextField()


class ContainsAll(PostgresOperatorLookup):  # type: ignore[type-arg]  # Not generic at runtime.
    lookup_name = "contains_all"
    postgres_operator = "@>"


def has_pairs_of(word: str) -> ContainsAll:
    """Give the condition that an event's texts have every pair of characters that the word has."""
    return ContainsAll(Pairs(F("title"), F("description")), Pairs(Value(word, TextField())))
