"""A capacity is always saved as a whole number, and the ledger balances."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Case, F, Value, When

from event.exceptions import CapacityBelowReserved
from event.models import Event
from reservation.models import Reservation
from tests.ledger import assert_balanced, seats_left

FRACTIONS = [8.9, 0.5, Decimal("8.9"), "8.9", float("nan"), float("inf"), Decimal("NaN"), "many", None]
WHOLE = [8, 8.0, Decimal(8), "8"]
# Expressions whose value, for a capacity of ten, is not a whole number.
EXPRESSIONS = [
    F("capacity") * 1.55,
    F("capacity") * 0.75,
    F("capacity") * Decimal("1.55"),
    F("capacity") / 1.6,
    Value(7.5),
    Value(Decimal("8.5")),
    Case(When(title="Concert", then=Value(12.5)), default=F("capacity") * 1.5),
]
TOO_LARGE = [F("capacity") * 1e300, F("capacity") * 10**18, Value(2.0**63), Value(float("inf"))]


def update(event, capacity):
    Event.objects.filter(pk=event.pk).update(capacity=capacity)


def bulk_update(event, capacity):
    event.capacity = capacity
    Event.objects.bulk_update([event], ["capacity"])


def save(event, capacity):
    event.capacity = capacity
    event.save()


def save_field(event, capacity):
    event.capacity = capacity
    event.save(update_fields=["capacity"])


def resize(event, capacity):
    event.resize(capacity)


def fields_of(event):
    return {field: getattr(event, field) for field in ("title", "organizer", "start_time", "end_time")}


def create(event, capacity):
    return Event.objects.create(capacity=capacity, **fields_of(event))


def bulk_create(event, capacity):
    # Two events: if the second one were rejected too late, the first one would already be saved.
    return Event.objects.bulk_create(Event(capacity=each, **fields_of(event)) for each in (5, capacity))[1]


CHANGES = [update, bulk_update, save, save_field, resize]
CREATIONS = [create, bulk_create]


@pytest.fixture
def event(event, people):
    """Alice's concert, with three of ten seats reserved."""
    for person in people(3):
        Reservation.objects.book(user=person, event_id=event.pk)
    return Event.objects.get()


def stored():
    """Return the column values as the database driver returns them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT capacity, seats_remaining FROM event_event ORDER BY id")
        return cursor.fetchall()


def assert_whole():
    assert {type(number) for row in stored() for number in row} == {int}
    assert_balanced()


@pytest.mark.parametrize("write", CHANGES + CREATIONS)
@pytest.mark.parametrize("capacity", FRACTIONS, ids=repr)
def test_value_with_a_fraction_is_refused(event, write, capacity):
    with pytest.raises(ValueError, match="The capacity must be a whole number, not "):
        write(event, capacity)

    assert stored() == [(10, 7)]


@pytest.mark.parametrize("write", CHANGES)
@pytest.mark.parametrize("capacity", WHOLE, ids=repr)
def test_whole_number_of_any_type_is_written(event, write, capacity):
    write(event, capacity)

    assert stored() == [(8, 5)]
    assert_whole()


@pytest.mark.parametrize("write", CREATIONS)
@pytest.mark.parametrize("capacity", WHOLE, ids=repr)
def test_event_is_created_with_a_whole_number_of_any_type(event, write, capacity):
    created = write(event, capacity)

    assert (created.capacity, created.seats_remaining) == (8, 8)
    assert_whole()


@pytest.mark.parametrize("write", CHANGES)
@pytest.mark.parametrize("capacity", EXPRESSIONS, ids=str)
def test_expression_is_rounded_once_for_both_columns(event, write, capacity):
    write(event, capacity)

    assert stored()[0] != (10, 7)
    assert_whole()


@pytest.mark.parametrize("write", CREATIONS)
@pytest.mark.parametrize("capacity", [Value(7.5), Value(Decimal("8.5"))], ids=str)
def test_event_is_created_with_an_expression(event, write, capacity):
    created = write(event, capacity)

    assert created.capacity == created.seats_remaining == seats_left(created)
    assert_whole()


@pytest.mark.parametrize(("factor", "capacity"), [(1.57, 16), (1.53, 15), (0.79, 8)])
def test_expression_is_rounded_to_the_nearest(event, factor, capacity):
    update(event, F("capacity") * factor)

    assert stored() == [(capacity, capacity - 3)]


@pytest.mark.parametrize("write", [save, save_field, resize])
def test_event_has_the_number_that_an_expression_gave(event, write):
    write(event, F("capacity") * 1.57)

    assert (event.capacity, event.seats_remaining, event.reserved) == (16, 13, 3)


@pytest.mark.parametrize("capacity", [0.251, 0.34])
def test_expression_is_rounded_before_it_is_compared_with_what_is_reserved(event, capacity):
    """2.51 and 3.4 are both rounded to 3."""
    event.resize(F("capacity") * capacity)

    assert stored() == [(3, 0)]


@pytest.mark.parametrize("write", [save, save_field, resize])
def test_expression_below_what_is_reserved_is_refused(event, write):
    with pytest.raises(CapacityBelowReserved, match=r"reserved seats \(3\)"):
        write(event, F("capacity") * 0.2)

    assert stored() == [(10, 7)]


@pytest.mark.parametrize("write", CHANGES)
@pytest.mark.parametrize("capacity", TOO_LARGE, ids=str)
def test_expression_beyond_the_column_changes_nothing(event, write, capacity):
    # On SQLite such a number becomes NULL, and the comparison with NULL matches no row.
    with pytest.raises((DatabaseError, CapacityBelowReserved)), transaction.atomic():
        write(event, capacity)

    assert stored() == [(10, 7)]


@pytest.mark.parametrize("write", CHANGES + CREATIONS)
def test_value_beyond_the_column_changes_nothing(event, write):
    with pytest.raises((DatabaseError, OverflowError)), transaction.atomic():
        write(event, 2**63)

    assert stored() == [(10, 7)]


def test_several_events_are_each_rounded(event, alice, event_of):
    for capacity in (1, 3, 5, 7, 11, 17):
        event_of(alice, capacity=capacity)

    Event.objects.update(capacity=F("capacity") * 1.5)

    assert_whole()


def test_events_are_written_in_bulk_by_the_names_that_django_uses(event):
    """Django's async methods pass the arguments by name."""
    [created] = Event.objects.bulk_create(objs=[Event(capacity=5, **fields_of(event))], batch_size=1)
    created.capacity = 6

    Event.objects.bulk_update(objs=[created], fields=["capacity"], batch_size=1)

    assert stored() == [(10, 7), (6, 6)]
