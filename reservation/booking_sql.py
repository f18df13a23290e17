"""Booking in one statement, on PostgreSQL.

It replaces ``booking.book_in_a_transaction``: a check, BEGIN, an update and a read of the event, an insert and a read
of the reservation, and COMMIT. The statement can also find the user of a token. The event's row is locked for one
statement instead of five, and never while Python code runs. docs/performance.md says how much time that saves.
tests/reservation/ tests both.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import cache
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import BooleanField, Exists, F, Field, IntegerField
from django.db.models.expressions import RawSQL
from django.db.models.fields import NOT_PROVIDED
from django.db.models.signals import post_save, pre_save

from event.models import EVENT_LOCK_BREAKER, Event, EventQuerySet
from eventmanagement.database.postgresql import Prepared
from eventmanagement.database.queries import CompiledStatement, Parameter, PreparedQuery, capture, column_names, select
from reservation import booking, models
from reservation.exceptions import AlreadyReserved

STATEMENT = """
    -- The ORM's conditional update takes the seat. It updates no row if the user is not allowed to book.
    WITH {caller} event AS (
        {update}
        RETURNING {event_columns}
    ),
    -- Inserts the reservation if a seat was taken. The database generates its id and time.
    reservation AS (
        INSERT INTO {table} ({event_id}, {columns})
        SELECT event.id, {values} FROM event
        RETURNING {reservation_columns}
    )
    -- Returns the reasons against the booking at the start of the statement, the event and the reservation.
    SELECT objections.*, event.*, reservation.* {caller_columns}
    FROM {from_caller} ({objections}) objections
    LEFT JOIN event ON TRUE
    LEFT JOIN reservation ON TRUE
"""
# For a statement that finds the user of a token: the id of the user, or NULL, and whether the user is active.
CALLER_ID = RawSQL("(SELECT id FROM caller WHERE is_active)", (), output_field=IntegerField())
CALLER_IS_ACTIVE = RawSQL("EXISTS (SELECT FROM caller WHERE is_active)", (), output_field=BooleanField())


def is_supported() -> bool:
    """Return whether the statement can be used: on PostgreSQL, unless signals of Reservation have receivers."""
    listens = pre_save.has_listeners(models.Reservation) or post_save.has_listeners(models.Reservation)
    return connection.vendor == "postgresql" and not listens


def book_in_one_statement(user: User, event_id: int) -> "models.Reservation | None":
    """Try to book in one statement, with the same result as ``booking.book_in_a_transaction``.

    If the user already has a reservation, the update matches no row, so the statement waits for no lock.
    """
    # In autocommit mode the statement is its own transaction. Within a transaction it needs a savepoint, so that a
    # violated constraint does not abort the caller's transaction.
    with nullcontext() if connection.get_autocommit() else transaction.atomic():
        row = _execute(statement(), event_id, user_id=user.pk)
        if row is None:
            raise Event.DoesNotExist
        return _reservation(row, user)


def book_by_token(
    users: PreparedQuery[User], key: str, event_id: int, accept: Callable[[User | None], User]
) -> "models.Reservation | None":
    """Find the user of this token and try to book, in one statement. Raises the same as ``book_in_one_statement``.

    ``users`` is the query for the user of a token. ``accept`` gets the user, or None if the token is unknown or there
    is no such event. It raises an exception if the user may not book. Nothing is booked for an inactive user.
    Must not be called in a transaction.
    """
    width = len(users.columns)
    found: list[User] = []

    def meet(row: tuple[Any, ...] | None) -> None:
        found.append(accept(None if row is None else users.instance(row[-width:])))

    row = _execute(statement_by_token(users), event_id, meet, key=key)
    # ``accept`` has raised an exception if there is no row.
    return _reservation(row[:-width], found[0]) if row else None


def _execute(
    statement: CompiledStatement,
    event_id: int,
    meet: Callable[[tuple[Any, ...] | None], None] = lambda row: None,
    **values: Any,
) -> tuple[Any, ...] | None:
    """Execute the statement. Passes its row to ``meet``, even if the user has a seat already."""
    new = models.Reservation(event_id=event_id)
    values = {
        field.attname: field.get_db_prep_save(field.pre_save(new, True), connection) for field in inserted()
    } | values
    with EVENT_LOCK_BREAKER.guard(event_id):
        row = statement.fetch(connection.alias, event_id=event_id, **values)
        meet(row)
        if row and row[0] is not None:
            # Raised inside the guard, so that the breaker stays as it is: this statement did not wait for the event's
            # lock, so it says nothing about that lock.
            raise AlreadyReserved(row[0])
    return row


def _reservation(row: tuple[Any, ...], user: User) -> "models.Reservation | None":
    """Return the reservation that a statement has inserted.

    If it has inserted none, raises the reason against the booking, or returns None if there is no reason any more.
    """
    event_columns, reservation_columns = column_names(Event), column_names(models.Reservation)
    reasons = len(booking.RefusalReasons._fields)
    objections, event_row, reservation_row = (
        row[:reasons],
        row[reasons : -len(reservation_columns)],
        row[-len(reservation_columns) :],
    )
    if event_row[0] is None:
        booking.RefusalReasons(*objections).raise_first()
        return None
    reservation = models.Reservation.from_db(connection.alias, reservation_columns, reservation_row)
    reservation.event = Event.from_db(connection.alias, event_columns, event_row)
    reservation.user = user
    reservation.log_taken()
    return reservation


@cache
def inserted() -> list["Field[Any, Any]"]:
    """Return the columns whose values come from Python.

    These are all except the event, those the database generates, and ``checked_in_at``, which is NULL at first.
    """
    columns = models.Reservation._meta.concrete_fields
    return [
        field
        for field in columns
        if not field.primary_key
        and field.attname not in ("event_id", "checked_in_at")
        and field.db_default is NOT_PROVIDED
    ]


@cache
def statement() -> CompiledStatement:
    """Return the statement for a user's id, and its parameters in their order."""
    # Placeholder values. They must differ from all other parameters of the compiled SQL.
    ids = {"event_id": -1, "user_id": -2}
    seats = Event.objects.seats_to_take(ids["event_id"])
    return _compile(seats, ids["user_id"], ids)


@cache
def statement_by_token(users: PreparedQuery[User]) -> CompiledStatement:
    """Return the statement for a token, with the user's columns at the end of its row."""
    ids = {"event_id": -1}
    seats = Event.objects.seats_to_take(ids["event_id"]).filter(CALLER_IS_ACTIVE)
    return _compile(seats, CALLER_ID, ids, users.statement)


def _compile(
    seats: EventQuerySet, user_id: Any, ids: dict[str, int], caller: CompiledStatement | None = None
) -> CompiledStatement:
    """Return the statement, with the SQL that the ORM compiles for its parts, and its parameters in their order."""
    quote = connection.ops.quote_name
    free = seats.filter(~Exists(booking.held_by(user_id)))
    update = capture(lambda: free.move_seats(F("seats_remaining") - 1), connection.alias, **ids)
    objections = select(booking.objections(user_id, ids["event_id"]), **ids)
    values = {field.column: "%s" for field in inserted()} | ({"user_id": CALLER_ID.sql} if caller else {})
    parameters = [Parameter(field.attname) for field in inserted() if values[field.column] == "%s"]

    def names(columns: Iterable[str]) -> str:
        return ", ".join(map(quote, columns))

    sql = STATEMENT.format(
        caller=f"caller AS MATERIALIZED ({caller.sql})," if caller else "",
        caller_columns=", caller.*" if caller else "",
        from_caller="caller CROSS JOIN" if caller else "",
        update=update.sql,
        event_columns=names([field.column for field in Event._meta.concrete_fields]),
        table=quote(models.Reservation._meta.db_table),
        event_id=quote("event_id"),
        columns=names(values),
        values=", ".join(values.values()),
        reservation_columns=names([field.column for field in models.Reservation._meta.concrete_fields]),
        objections=objections.sql,
    )
    of_caller = caller.parameters if caller else ()
    return CompiledStatement(Prepared(sql), (*of_caller, *update.parameters, *parameters, *objections.parameters))
