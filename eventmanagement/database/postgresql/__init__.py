"""PostgreSQL as the project uses it; Django finds the backend in ``base``."""


class Prepared(str):
    """SQL that is planned once for each connection, whatever its parameters: right where rows are found by a key."""

    __slots__ = ()
