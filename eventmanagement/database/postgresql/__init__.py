"""The project's PostgreSQL backend for Django, in the module ``base``."""


class Prepared(str):
    """SQL to run as a prepared statement, planned once per connection. For queries that find rows by a key."""

    __slots__ = ()
