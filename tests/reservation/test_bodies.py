"""Both bodies of booking do the same, on one database."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, models
from django.db.models.signals import post_save, pre_save
from django.utils import timezone
from rest_framework.authtoken.models import Token

from authentication.tokens import USER_BY_TOKEN
from event.models import EVENT_BY_ID, Event
from eventmanagement.database.queries import column_names
from reservation import booking_sql
from reservation.models import Reservation

pytestmark = pytest.mark.usefixtures("either_body")


def columns(row):
    return {name: row.__dict__.get(name) for name in column_names(type(row))}


def test_booking_returns_the_rows_as_the_orm_reads_them(bob, event):
    reservation = Reservation.objects.book(user=bob, event_id=event.pk)

    assert columns(reservation) == columns(Reservation.objects.get())
    assert columns(reservation.event) == columns(Event.objects.get())
    assert reservation.user is bob
    assert not reservation._state.adding


def test_prepared_queries_return_the_rows_as_the_orm_reads_them(bob, event):
    token = Token.objects.create(user=bob)
    user = USER_BY_TOKEN.first(key=token.key)

    assert columns(EVENT_BY_ID.first(event_id=event.pk)) == columns(Event.objects.get())
    assert (user.pk, user.username, user.is_active) == (bob.pk, "bob", True)
    assert user.get_deferred_fields() == set(column_names(type(bob))) - {"id", "username", "is_active"}
    assert user.date_joined == bob.date_joined


def test_time_of_a_booking_is_the_databases(bob, event, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2999, 1, 1, tzinfo=UTC))

    reservation = Reservation.objects.book(user=bob, event_id=event.pk)

    assert abs(reservation.created_at - datetime.now(UTC)) < timedelta(days=1)


@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_signals_are_sent_once(bob, event, signal):
    sent = []

    def receive(instance, **kwargs):
        sent.append(instance)

    signal.connect(receive, sender=Reservation)
    try:
        reservation = Reservation.objects.book(user=bob, event_id=event.pk)
    finally:
        signal.disconnect(receive, sender=Reservation)

    assert sent == [reservation]


@pytest.fixture
def new_column():
    """Add a column with a Python default, as a later release might."""
    field = models.CharField(max_length=10, null=True, default=lambda: "web")

    def forget():
        Reservation._meta._expire_cache()
        for cached in (column_names, booking_sql.inserted, booking_sql.statement):
            cached.cache_clear()

    field.contribute_to_class(Reservation, "source")
    with connection.schema_editor() as editor:
        editor.add_field(Reservation, field)
    forget()
    yield
    Reservation._meta.local_fields.remove(field)
    forget()
    with connection.schema_editor() as editor:
        editor.remove_field(Reservation, field)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite would make the table anew")
@pytest.mark.django_db(transaction=True)
def test_new_column_gets_its_default(bob, event, new_column):
    reservation = Reservation.objects.book(user=bob, event_id=event.pk)

    assert reservation.source == "web"
    assert Reservation.objects.values_list("source", flat=True).get() == "web"
