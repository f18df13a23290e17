"""SQL that the ORM compiles once, and that PostgreSQL plans once per connection.

For a short query, Django takes several times longer to compile the SQL than PostgreSQL takes to run it. This is used
for the statements that run most often: finding a token, reading an event or the first page of events, and booking.
"""

from collections.abc import Callable, Generator, Sequence
from functools import cache, cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from django.core.exceptions import FullResultSet
from django.db import connections
from django.db.models import BigIntegerField, BooleanField, Func, Model, QuerySet, UUIDField, Value
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler

from eventmanagement.database.errors import read_timeout
from eventmanagement.database.postgresql import Prepared

ModelT = TypeVar("ModelT", bound=Model)
# Rows per FETCH. They are in memory at the same time.
FETCH_SIZE = 1000


class Parameter(str):
    """A named placeholder in a statement. Its value is passed each time the statement runs."""

    __slots__ = ()


class CompiledStatement(NamedTuple):
    """SQL with its parameters, some of which are instances of ``Parameter``."""

    sql: Prepared
    parameters: tuple[Any, ...]

    def fetch(self, using: str, **values: Any) -> tuple[Any, ...] | None:
        """Execute the statement with these values for its parameters. Returns the first row, or None."""
        rows = self.fetch_all(using, **values)
        return rows[0] if rows else None

    def fetch_all(self, using: str, **values: Any) -> list[tuple[Any, ...]]:
        """Execute the statement with these values for its parameters. Returns its rows.

        Returns no rows for a number that no column can hold, as Django's own queries find nothing.
        """
        if any(isinstance(value, int) and abs(value) > BigIntegerField.MAX_BIGINT for value in values.values()):
            return []
        parameters = [values[each] if isinstance(each, Parameter) else each for each in self.parameters]
        with connections[using].cursor() as cursor:
            cursor.execute(self.sql, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows


class PreparedQuery(Generic[ModelT]):
    """A query for one row of a model. On PostgreSQL, the ORM compiles it on first use, and the SQL is cached.

    ``query`` returns the queryset for its arguments. On PostgreSQL it is called once, with the placeholders as
    arguments. On other databases it is called each time, with the values. ``fields`` are the columns to load; by
    default, all columns are loaded.
    """

    def __init__(self, query: Callable[..., QuerySet[ModelT]], fields: Sequence[str] = (), **placeholders: Any) -> None:
        self.query = query
        self.fields = fields
        self.placeholders = placeholders

    def first(self, **values: Any) -> ModelT | None:
        """Run the query with these values. Returns the row as a model instance, or None."""
        if connections[self.queryset.db].vendor != "postgresql":
            return self.query(**values).only(*self.columns).first()
        row = self.statement.fetch(self.queryset.db, **values)
        return None if row is None else self.instance(row)

    def instance(self, row: Sequence[Any]) -> ModelT:
        """Return the model instance for a row of the statement."""
        return self.queryset.model.from_db(self.queryset.db, self.columns, row)

    @cached_property
    def queryset(self) -> QuerySet[ModelT]:
        return self.query(**self.placeholders).order_by()

    @cached_property
    def columns(self) -> list[str]:
        return list(self.fields) or column_names(self.queryset.model)

    @cached_property
    def statement(self) -> CompiledStatement:
        return select(self.queryset.values_list(*self.columns), **self.placeholders)


@cache
def column_names(model: type[Model]) -> list[str]:
    """Return the attribute names of a model's columns, in order."""
    return [field.attname for field in model._meta.concrete_fields]


def select(queryset: QuerySet[Any, Any], **placeholders: Any) -> CompiledStatement:
    """Return the statement that a queryset would execute, with parameters for these placeholders."""
    return _statement(*queryset.query.sql_with_params(), placeholders)


def capture(write: Callable[[], Any], using: str, **placeholders: Any) -> CompiledStatement:
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


def _statement(sql: str, parameters: Sequence[Any], placeholders: dict[str, Any]) -> CompiledStatement:
    names = {value: Parameter(name) for name, value in placeholders.items()}
    return CompiledStatement(Prepared(sql), tuple(names.get(each, each) for each in parameters))


def iterate_snapshot(values: QuerySet[Any, tuple[Any, ...]]) -> Generator[tuple[Any, ...]]:
    """Yield the rows of a ``values_list`` queryset, all from one snapshot of the database, in constant memory.

    On PostgreSQL, a server-side cursor in a transaction reads them. READ_TIMEOUT limits each FETCH, not all of them
    together. Behind PgBouncer in transaction mode, DISABLE_SERVER_SIDE_CURSORS makes ``QuerySet.iterator()`` load all
    rows at once. This cursor works there too, because it ends with its transaction. On SQLite, one statement reads the
    rows.

    Close the generator if you don't read all rows, because it holds a transaction.
    """
    connection = connections[values.db]
    if connection.vendor != "postgresql":
        yield from values.iterator(FETCH_SIZE)
        return
    with read_timeout(), connection.chunked_cursor() as cursor:
        cursor.execute(*values.query.sql_with_params())
        while rows := cursor.fetchmany(FETCH_SIZE):
            yield from rows


class SetLockTimeout(Func):
    """A condition that is always true, and sets PostgreSQL's ``lock_timeout`` for the current transaction.

    PostgreSQL evaluates it when it finds a row, before it locks the row. So the timeout needs no extra statement to
    set or reset it.
    """

    template = "set_config('lock_timeout', %(expressions)s, true) IS NOT NULL"
    output_field = BooleanField()

    def __init__(self, duration: str) -> None:
        super().__init__(Value(duration))

    def as_sql(self, compiler: SQLCompiler, connection: Any, *args: Any, **context: Any) -> tuple[str, Any]:
        # Django omits a condition that raises FullResultSet.
        raise FullResultSet

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, Any]:
        return super().as_sql(compiler, connection, **context)


class ClockTimestamp(Now):
    """The time of its evaluation, for example after a wait for a lock. ``Now()`` is the start of the statement."""

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="CLOCK_TIMESTAMP()", **context)


class RandomUUID(Func):
    """A random UUID, a new one for each row."""

    template = "GEN_RANDOM_UUID()"
    output_field = UUIDField()

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="LOWER(HEX(RANDOMBLOB(16)))", **context)
