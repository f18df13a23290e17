"""Booking in one statement, on PostgreSQL.

It replaces ``booking.book_in_a_transaction``: a check, BEGIN, an update and a read of the event, an insert and COMMIT.
The event's row is locked for one statement instead of four, and never while Python works. docs/performance.md says what
that saves. tests/reservation/ runs over both.
"""

from contextlib import nullcontext
from functools import cache
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Exists, F, Field
from django.db.models.fields import NOT_PROVIDED
from django.db.models.signals import post_save, pre_save

from event.models import EVENT_LOCKS, Event
from eventmanagement.database.postgresql import Prepared
from eventmanagement.database.queries import Parameter, Statement, capture, column_names, select
from reservation import booking, models
from reservation.exceptions import AlreadyReserved

STATEMENT = """
    -- The ORM's own conditional update: it takes the seat, and finds no event where it may not.
    WITH event AS (
        {update}
        RETURNING {event_columns}
    ),
    -- The reservation's row, if there is a seat. Its id and its time come from the database.
    reservation AS (
        INSERT INTO {table} ({event_id}, {columns})
        SELECT event.id, {values} FROM event
        RETURNING {reservation_columns}
    )
    -- What spoke against the booking when the statement began, beside what came of it.
    SELECT objections.*, event.*, reservation.*
    FROM ({objections}) objections
    LEFT JOIN event ON TRUE
    LEFT JOIN reservation ON TRUE
"""


def is_supported() -> bool:
    """Whether the statement does all that a booking would: it sends no signals of the reservation."""
    listens = pre_save.has_listeners(models.Reservation) or post_save.has_listeners(models.Reservation)
    return connection.vendor == "postgresql" and not listens


def book_in_one_statement(user: User, event_id: int) -> "models.Reservation | None":
    """Do what ``booking.book_in_a_transaction`` does.

    A user who holds a seat waits for no lock: the update's condition leaves the event alone.
    """
    # By itself the statement is a transaction. Within another one it has a savepoint, so that a violated constraint
    # doesn't end the caller's transaction.
    with nullcontext() if connection.get_autocommit() else transaction.atomic():
        return _book(user, event_id)


def _book(user: User, event_id: int) -> "models.Reservation | None":
    new = models.Reservation(user=user, event_id=event_id)
    values = {field.attname: field.get_db_prep_save(field.pre_save(new, True), connection) for field in inserted()}
    with EVENT_LOCKS.guard(event_id):
        row = statement().fetch(connection.alias, **{"event_id": event_id, "user_id": user.pk} | values)
        if row and row[0] is not None:
            # No lock was waited for, so whether the event's row is locked is not known.
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
        booking.Objections(*objections).raise_first()
        return None
    reservation = models.Reservation.from_db(connection.alias, reservation_columns, reservation_row)
    reservation.event = Event.from_db(connection.alias, event_columns, event_row)
    reservation.user = user
    reservation.log_taken()
    return reservation


@cache
def inserted() -> list["Field[Any, Any]"]:
    """The reservation's columns that Python gives values: all but the event and what the database makes."""
    columns = models.Reservation._meta.concrete_fields
    return [
        field
        for field in columns
        if not field.primary_key and field.attname != "event_id" and field.db_default is NOT_PROVIDED
    ]


@cache
def statement() -> Statement:
    """The statement, written by the ORM where it is the ORM's, with its parameters in their order."""
    quote = connection.ops.quote_name
    # No row has such ids, and no other parameter such values.
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
    return Statement(Prepared(sql), (*update.parameters, *values, *objections.parameters))
