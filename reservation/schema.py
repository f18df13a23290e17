"""The OpenAPI descriptions of the reservation endpoints."""

from http import HTTPStatus

from drf_spectacular.utils import extend_schema_serializer

from event.exceptions import EventStarted, SoldOut
from event.schema import EVENT, EVENT_NOT_FOUND, NOT_ORGANIZER, PAGE_NOT_FOUND
from eventmanagement.api.openapi import NEEDS_TOKEN, bad_request, describe, error, operation
from reservation.exceptions import AlreadyReserved
from reservation.serializers import AttendeeSerializer, BookingSerializer, ReservationSerializer
from reservation.views import AttendeeListView, ReservationViewSet

TAGS = ["Reservations"]
BOOKED_AT = "2035-05-04T09:12:44.031850Z"
RESERVATION = {"id": 1, "event": EVENT | {"seats_remaining": 39}, "user": "alice", "created_at": BOOKED_AT}
RESERVATION_NOT_FOUND = error(
    HTTPStatus.NOT_FOUND, "No Reservation matches the given query.", "You have no reservation with this id."
)

# Gives the request body of a booking the name ReservationRequest in the document.
extend_schema_serializer(component_name="Reservation")(BookingSerializer)

describe(
    ReservationViewSet,
    create=operation(
        "reservation_create",
        "Book a seat",
        description="Books one seat for you at an event that has not started. The event in the response has the "
        "number of free seats after your booking. If you already have a seat, the error contains the reservation's id.",
        tags=TAGS,
        sends={"event_id": 1},
        returns=RESERVATION,
        responses={201: ReservationSerializer}
        | bad_request(
            "BookingRefusal",
            SoldOut(),
            AlreadyReserved(1),
            EventStarted(),
            fields={"event_id": ["There is no event with this id."]},
        )
        | NEEDS_TOKEN,
    ),
    list=operation(
        "reservation_list",
        "List your reservations",
        description="Your own reservations in the order of booking, 10 per page by default.",
        tags=TAGS,
        returns=RESERVATION,
        responses={200: ReservationSerializer(many=True)}
        | bad_request(fields={"event": ["Enter a whole number."]})
        | NEEDS_TOKEN
        | PAGE_NOT_FOUND,
    ),
    retrieve=operation(
        "reservation_retrieve",
        "Get a reservation",
        description="One of your reservations, with its event.",
        tags=TAGS,
        returns=RESERVATION,
        responses={200: ReservationSerializer} | NEEDS_TOKEN | RESERVATION_NOT_FOUND,
    ),
    destroy=operation(
        "reservation_cancel",
        "Cancel a reservation",
        description="Frees your seat. After the event has started, a reservation can't be cancelled.",
        tags=TAGS,
        responses={204: None}
        | bad_request("CancellationRefusal", EventStarted())
        | NEEDS_TOKEN
        | RESERVATION_NOT_FOUND,
    ),
)

describe(
    AttendeeListView,
    get=operation(
        "event_attendees",
        "List the attendees of an event",
        description="Only for the organizer. In the order of booking; `count` is the number of reservations.",
        tags=["Events"],
        returns={"id": 1, "user": "alice", "created_at": BOOKED_AT},
        responses={200: AttendeeSerializer(many=True)}
        | bad_request(fields={"page_size": ["Enter a whole number greater than zero."]})
        | NEEDS_TOKEN
        | NOT_ORGANIZER
        | EVENT_NOT_FOUND,
    ),
)
