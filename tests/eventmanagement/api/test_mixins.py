"""Fields are made once for a serializer's class, by way of a private part of REST framework."""

import pytest
from rest_framework.serializers import ModelSerializer, Serializer

from tests.ledger import book


@pytest.fixture
def built(monkeypatch):
    """Collect the names of the serializer classes that build their fields."""
    built = []

    def watch(serializer_class):
        get_fields = serializer_class.get_fields

        def get_and_count(serializer):
            built.append(type(serializer).__name__)
            return get_fields(serializer)

        monkeypatch.setattr(serializer_class, "get_fields", get_and_count)

    watch(Serializer)
    watch(ModelSerializer)
    return built


@pytest.mark.parametrize("page", ["events", "event", "attendees", "reservations", "reservation"])
def test_rows_are_shown_without_making_fields(as_user, alice, event, event_of, routes, built, page):
    [reservation], _ = book(event, alice), book(event_of(alice), alice)
    path = {
        "events": routes.events,
        "event": routes.event(event),
        "attendees": routes.attendees(event),
        "reservations": routes.reservations,
        "reservation": routes.reservation(reservation),
    }[page]
    client = as_user(alice)
    # The first request after a start builds the fields.
    client.get(path)
    built.clear()

    response = client.get(path)

    assert response.status_code == 200
    assert built == []


def test_booking_makes_its_own_fields_alone(as_user, alice, bob, event, event_of, routes, built):
    client = as_user(bob)
    # An id in quotes is left to REST framework (reservation/fast.py).
    client.post(routes.reservations, {"event_id": str(event_of(alice).pk)})
    built.clear()

    response = client.post(routes.reservations, {"event_id": str(event.pk)})

    assert response.json()["event"]["seats_remaining"] == 9
    assert set(built) == {"BookingSerializer"}
