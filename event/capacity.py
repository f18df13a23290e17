"""Converts capacities to whole numbers."""

from typing import Any

from django.db.models import BigIntegerField, IntegerField
from django.db.models.functions import Cast
from django.db.models.sql.compiler import SQLCompiler

# The maximum of PostgreSQL's integer type. SQLite would accept larger numbers.
MAX_CAPACITY = 2**31 - 1


class WholeNumber(Cast):
    """Rounds the value of an expression to an integer in the database."""

    def __init__(self, expression: Any) -> None:
        super().__init__(expression, IntegerField())

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, Any]:
        # SQLite's CAST truncates fractions and clamps values that are too large. ROUND rounds instead, and NULLIF
        # turns a clamped value into NULL, which the NOT NULL column rejects.
        template = f"NULLIF(CAST(ROUND(%(expressions)s) AS %(db_type)s), {BigIntegerField.MAX_BIGINT})"
        return super().as_sqlite(compiler, connection, template=template, **context)


def whole_number(capacity: Any) -> int | WholeNumber:
    """Convert a capacity to an integer. An expression becomes an expression that the database rounds.

    Write ``capacity`` and ``seats_remaining`` from the result: rounded separately, the two could differ.
    Raises ValueError for a value that is not a whole number.
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
