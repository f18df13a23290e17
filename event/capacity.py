"""Capacities are whole numbers, rounded once."""

from typing import Any

from django.db.models import BigIntegerField, IntegerField
from django.db.models.functions import Cast
from django.db.models.sql.compiler import SQLCompiler

# The largest value of PostgreSQL's integer. SQLite stores larger ones.
LARGEST_CAPACITY = 2**31 - 1


class WholeNumber(Cast):
    """An expression that the database rounds to a whole number."""

    def __init__(self, expression: Any) -> None:
        super().__init__(expression, IntegerField())

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, Any]:
        # SQLite's CAST drops the fraction, and makes the largest integer of anything larger. NULL instead of
        # that integer is an error: the column refuses it.
        template = f"NULLIF(CAST(ROUND(%(expressions)s) AS %(db_type)s), {BigIntegerField.MAX_BIGINT})"
        return super().as_sqlite(compiler, connection, template=template, **context)


def whole_number(capacity: Any) -> int | WholeNumber:
    """Return a value as an integer, and an expression as one that the database rounds.

    Capacity and seats are written from the same whole number: each column would round a fraction in its
    own way. Raises ValueError for a value that is not a whole number.
    """
    if hasattr(capacity, "resolve_expression"):
        return WholeNumber(capacity)
    try:
        number = int(capacity)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not (isinstance(capacity, str) or number == capacity):
        raise ValueError(f"The capacity must be a whole number, not {capacity!r:.50}.")
    return number
