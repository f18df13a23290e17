"""SQL that the ORM writes once and PostgreSQL plans once for each connection.

Django takes several times longer to write the query for one row than PostgreSQL takes to run it. Only three
statements are run often enough for that to matter: finding a token, reading an event, and booking.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from django.core.exceptions import FullResultSet
from django.db import connections
from django.db.models import BigIntegerField, BooleanField, Func, Model, QuerySet, Value
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler

from eventmanagement.database.postgresql import Prepared

ModelT = TypeVar("ModelT", bound=Model)


class Parameter(str):
    """The name of a value that changes from run to run, in the place of that value."""

    __slots__ = ()


class Statement(NamedTuple):
    """SQL with its parameters, some of which are instances of ``Parameter``."""

    sql: Prepared
    parameters: tuple[Any, ...]

    def fetch(self, using: str, **values: Any) -> tuple[Any, ...] | None:
        """Execute the statement with these values for its parameters; return the first row, or None.

        A number that no column can hold finds nothing, as in Django's own queries.
        """
        if any(isinstance(value, int) and abs(value) > BigIntegerField.MAX_BIGINT for value in values.values()):
            return None
        parameters = [values[each] if isinstance(each, Parameter) else each for each in self.parameters]
        with connections[using].cursor() as cursor:
            cursor.execute(self.sql, parameters)
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row


class PreparedQuery(Generic[ModelT]):
    """Finds one row of a model by a query whose SQL is written once.

    ``query`` returns the queryset for its arguments. On PostgreSQL it is called once, with a placeholder for each of
    them; on other databases each time, with the values. ``fields`` are the columns that are loaded, all of
    them unless some are named.
    """

    def __init__(self, query: Callable[..., QuerySet[ModelT]], fields: Sequence[str] = (), **placeholders: Any) -> None:
        self.query = query
        self.fields = fields
        self.placeholders = placeholders

    def first(self, **values: Any) -> ModelT | None:
        """Return the first row that the query finds for these values, or None."""
        queryset, fields, statement = self.prepared
        if connections[queryset.db].vendor != "postgresql":
            return self.query(**values).only(*fields).first()
        row = statement.fetch(queryset.db, **values)
        return None if row is None else queryset.model.from_db(queryset.db, fields, row)

    @cached_property
    def prepared(self) -> tuple[QuerySet[ModelT], list[str], Statement]:
        queryset = self.query(**self.placeholders).order_by()
        fields = list(self.fields) or column_names(queryset.model)
        return queryset, fields, select(queryset.values_list(*fields), **self.placeholders)


@cache
def column_names(model: type[Model]) -> list[str]:
    """The attributes of a model that are columns, in their order."""
    return [field.attname for field in model._meta.concrete_fields]


def select(queryset: QuerySet[Any, Any], **placeholders: Any) -> Statement:
    """Return the statement that a queryset would execute, with parameters for these placeholders."""
    return _statement(*queryset.query.sql_with_params(), placeholders)


def capture(write: Callable[[], Any], using: str, **placeholders: Any) -> Statement:
    """Return the one statement that a write of the ORM would execute, without executing it."""
    executed = []

    def keep(
        execute: Callable[..., Any], sql: str, parameters: Sequence[Any], many: bool, context: dict[str, Any]
    ) -> None:
        executed.append((sql, parameters))

    with connections[using].execute_wrapper(keep):
        write()
    [(sql, parameters)] = executed
    return _statement(sql, parameters, placeholders)


def _statement(sql: str, parameters: Sequence[Any], placeholders: dict[str, Any]) -> Statement:
    names = {value: Parameter(name) for name, value in placeholders.items()}
    return Statement(Prepared(sql), tuple(names.get(each, each) for each in parameters))


class LockTimeout(Func):
    """A condition that is always true, and limits how long its statement waits for a lock on PostgreSQL.

    PostgreSQL evaluates it when it has found a row and before it locks the row. The limit ends with the
    transaction. So it takes no statement to set it, and none to set it back.
    """

    template = "set_config('lock_timeout', %(expressions)s, true) IS NOT NULL"
    output_field = BooleanField()

    def __init__(self, duration: str) -> None:
        super().__init__(Value(duration))

    def as_sql(self, compiler: SQLCompiler, connection: Any, *args: Any, **context: Any) -> tuple[str, Any]:
        # Django leaves such a condition out.
        raise FullResultSet

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, Any]:
        return super().as_sql(compiler, connection, **context)


class ClockTimestamp(Now):
    """The time at which the database evaluates it: after a wait for a lock, unlike the statement's own time."""

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="CLOCK_TIMESTAMP()", **context)
