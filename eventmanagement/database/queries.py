"""Queries that the ORM writes once and that then only run.

To find one row by its key, Django takes several times longer to write the query than PostgreSQL
takes to answer it.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from django.core.exceptions import FullResultSet
from django.db import connections
from django.db.models import BigIntegerField, BooleanField, Expression, Field, Func, Model, QuerySet, Value
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

from eventmanagement.database.postgresql import Prepared


class Parameter(Expression):
    """A value that a compiled query is told each time it runs."""

    def __init__(self, name: str, output_field: Field) -> None:
        super().__init__(output_field)
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, list["Parameter"]]:
        return "%s", [self]


class LockTimeout(Func):
    """A condition that is always true, and bounds how long its statement waits for a lock on PostgreSQL.

    It is evaluated when a row is found, before the row is locked, and holds until the transaction
    ends: no other statement is needed to set it, or to set it back.
    """

    template = "set_config('lock_timeout', %(expressions)s, true) IS NOT NULL"
    output_field = BooleanField()

    def __init__(self, duration: str) -> None:
        super().__init__(Value(duration))

    def as_sql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        # How Django spells a condition that is left out.
        raise FullResultSet

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        return super().as_sql(compiler, connection, **context)


class Statement(NamedTuple):
    """SQL, its parameters, some of which are still to be told, and the rows that it gives."""

    sql: Prepared
    parameters: tuple[Any, ...]
    model: type[Model]
    database: str
    # The attributes of the model that the first columns are; what comes behind them is annotated.
    attributes: list[str]
    # What makes Python's values of the database's, by position: SQLite has no times, for one.
    converters: dict[int, tuple[list[Callable], Expression]]

    def parameters_with(self, values: dict[str, Any]) -> list[Any]:
        """The parameters, each that was still to be told with its value."""
        return [values[each.name] if isinstance(each, Parameter) else each for each in self.parameters]


class CompiledQuery:
    """A query for one row of a model, written by the ORM at its first use and kept.

    ``queryset`` gives the query, with a ``Parameter`` for each value that changes from run to run.
    With changes, the row is updated, and read as it is then.
    """

    def __init__(self, queryset: Callable[[], QuerySet], **changes: Any) -> None:
        self.queryset = queryset
        self.changes = changes

    def first(self, **values: Any) -> Model | None:
        """Run the query with these values and give the row that it finds, or None."""
        found = self.run(**values)
        return found and found[0]

    def run(self, **values: Any) -> tuple[Any, ...] | None:
        """Run the query with these values; give the row, and behind it what else is selected.

        None where nothing is found, and in the place of the row where SQL around it found no such row.
        """
        if any(isinstance(value, int) and abs(value) > BigIntegerField.MAX_BIGINT for value in values.values()):
            # No column holds such a number, and a database would rather fail than say so.
            return None
        statement = self.statement
        connection = connections[statement.database]
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, statement.parameters_with(values))
            row = cursor.fetchone()
        if row is None:
            return None
        row = list(row)
        for position, (converters, expression) in statement.converters.items():
            for convert in converters:
                row[position] = convert(row[position], expression, connection)
        width = len(statement.attributes)
        instance = statement.model.from_db(statement.database, statement.attributes, row[:width])
        return None if instance.pk is None else instance, *row[width:]

    @cached_property
    def statement(self) -> Statement:
        queryset = self.queryset()
        query, model = queryset.query, queryset.model
        if self.changes:
            query = query.chain(UpdateQuery)
            query.add_update_values(self.changes)
        compiler = query.get_compiler(queryset.db)
        sql, parameters = compiler.as_sql()
        if self.changes:
            columns = [field.get_col(model._meta.db_table) for field in model._meta.concrete_fields]
            sql += f" RETURNING {', '.join(compiler.compile(column)[0] for column in columns)}"
        else:
            columns = [column for column, _, _ in compiler.select]
        attributes = [column.target.attname for column in columns if hasattr(column, "target")]
        return Statement(
            Prepared(sql), tuple(parameters), model, queryset.db, attributes, compiler.get_converters(columns)
        )


class QueryWithin(CompiledQuery):
    """A compiled query inside of other SQL, where it stands for the first ``{}``, and ``others`` for the next.

    The SQL selects the query's columns first; the others only lend it their SQL.
    """

    def __init__(self, sql: str, query: CompiledQuery, *others: CompiledQuery | Parameter) -> None:
        self.sql = sql
        self.query = query
        self.others = others

    @cached_property
    def statement(self) -> Statement:
        inner = self.query.statement
        sql, parameters = [inner.sql], [*inner.parameters]
        for other in self.others:
            if isinstance(other, Parameter):
                sql.append("%s")
                parameters.append(other)
            else:
                sql.append(other.statement.sql)
                parameters.extend(other.statement.parameters)
        return inner._replace(sql=Prepared(self.sql.format(*sql)), parameters=tuple(parameters))
