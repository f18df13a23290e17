"""Booking in one statement, on PostgreSQL.

It replaces ``booking.book_in_a_transaction``: a check, BEGIN, an update and a read of the event, an insert and COMMIT.
The event's row is locked for one statement instead of four, and never while Python code runs. docs/performance.md says
how much time that saves. tests/reservation/ tests both.
"""

from contextlib import nullcontext
from functools import cache
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Exists, F, Field
from django.db.models.fields import NOT_PROVIDED
from django.db.models.signals import post_save, pre_save

from event.models import EVENT_LOCK_BREAKER, Event
from eventmanagement.database.postgresql import Prepared
from eventmanagement.database.queries import CompiledStatement, Parameter, capture, column_names, select
from reservation import booking, models
from reservation.exceptions import AlreadyReserved

STATEMENT = """
    -- The ORM's conditional update takes the seat. It updates no row if the user is not allowed to book.
    WITH event AS (
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
    SELECT objections.*, event.*, reservation.*
    FROM ({objections}) objections
    LEFT JOIN event ON TRUE
    LEFT JOIN reservation ON TRUE
"""


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
        return _book(user, event_id)


def _book(user: User, event_id: int) -> "models.Reservation | None":
    new = models.Reservation(user=user, event_id=event_id)
    values = {field.attname: field.get_db_prep_save(field.pre_save(new, True), connection) for field in inserted()}
    with EVENT_LOCK_BREAKER.guard(event_id):
        row = statement().fetch(connection.alias, **{"event_id": event_id, "user_id": user.pk} | values)
        if row and row[0] is not None:
            # Raised inside the guard, so that the breaker stays as it is: this statement did not wait for the event's
            # lock, so it says nothing about that lock.
            raise AlreadyReserved(row[0])
    if row is None:
        raise Event.DoesNotExist
    event_columns, reservation_columns = column_names(Event), column_names(models.Reservation)
    objections, event_row, reservation_row = (
        row[:3],
        row[3 : -len(reservation_columns)],
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
    """Return the columns whose values come from Python: all except the event and those the database generates."""
    columns = models.Reservation._meta.concrete_fields
    return [
        field
        for field in columns
        if not field.primary_key and field.attname != "event_id" and field.db_default is NOT_PROVIDED
    ]


@cache
def statement() -> CompiledStatement:
    """Return the statement, with the SQL that the ORM compiles for its parts, and its parameters in their order."""
    quote = connection.ops.quote_name
    # Placeholder values. They must differ from all other parameters of the compiled SQL.
    ids = {"event_id": -1, "user_id": -2}
    seats = Event.objects.seats_to_take(ids["event_id"]).filter(~Exists(booking.held_by(ids["user_id"])))
    update = capture(lambda: seats.move_seats(F("seats_remaining") - 1), connection.alias, **ids)
    objections = select(booking.objections(**ids), **ids)
    values = [Parameter(field.attname) for field in inserted()]

    def names(columns: list[str]) -> str:
        return ", ".join(map(quote, columns))

    sql = STATEMENT.format(
        update=update.sql,
        event_columns=names([field.column for field in Event._meta.concrete_fields]),
        table=quote(models.Reservation._meta.db_table),
        event_id=quote("event_id"),
        columns=names([field.column for field in inserted()]),
        values=", ".join("%s" for _ in values),
        reservation_columns=names([field.column for field in models.Reservation._meta.concrete_fields]),
        objections=objections.sql,
    )
    return CompiledStatement(Prepared(sql), (*update.parameters, *values, *objections.parameters))
