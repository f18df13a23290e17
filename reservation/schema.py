"""What the OpenAPI document says of reservations."""

from http import HTTPStatus

from drf_spectacular.utils import extend_schema_serializer

from event.exceptions import EventStarted, SoldOut
from event.schema import EVENT, NO_SUCH_EVENT, NO_SUCH_PAGE, NOT_ITS_ORGANIZER
from eventmanagement.api.openapi import NEEDS_TOKEN, describe, error, operation, refused
from reservation.exceptions import AlreadyReserved
from reservation.serializers import AttendeeSerializer, BookingSerializer, ReservationSerializer
from reservation.views import AttendeeListView, ReservationViewSet

TAGS = ["Reservations"]
BOOKED_AT = "2035-05-04T09:12:44.031850Z"
RESERVATION = {"id": 1, "event": EVENT | {"seats_remaining": 39}, "user": "alice", "created_at": BOOKED_AT}
NO_SUCH_RESERVATION = error(
    HTTPStatus.NOT_FOUND, "No Reservation matches the given query.", "You hold no reservation with this id."
)

# What is sent to make a reservation, as clients know it.
extend_schema_serializer(component_name="Reservation")(BookingSerializer)

describe(
    ReservationViewSet,
    create=operation(
        "reservation_create",
        "Book a seat",
        description="One seat for you at an event that has not started. The event in the answer is as it is after "
        "your booking. Whoever holds a seat already is told which reservation that is.",
        tags=TAGS,
        sends={"event_id": 1},
        returns=RESERVATION,
        responses={201: ReservationSerializer}
        | refused(
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
        "See your reservations",
        description="Your own, in the order of booking, ten on a page.",
        tags=TAGS,
        returns=RESERVATION,
        responses={200: ReservationSerializer(many=True)}
        | refused(fields={"event": ["Enter a whole number."]})
        | NEEDS_TOKEN
        | NO_SUCH_PAGE,
    ),
    retrieve=operation(
        "reservation_retrieve",
        "Look at your reservation",
        description="With its event as it is now.",
        tags=TAGS,
        returns=RESERVATION,
        responses={200: ReservationSerializer} | NEEDS_TOKEN | NO_SUCH_RESERVATION,
    ),
    destroy=operation(
        "reservation_cancel",
        "Cancel your reservation",
        description="Your seat is free again at once. After the event has started it can't be cancelled.",
        tags=TAGS,
        responses={204: None} | refused("CancellationRefusal", EventStarted()) | NEEDS_TOKEN | NO_SUCH_RESERVATION,
    ),
)

describe(
    AttendeeListView,
    get=operation(
        "event_attendees",
        "See who comes to your event",
        description="For its organizer, in the order of booking; `count` is the number of reservations.",
        tags=["Events"],
        returns={"id": 1, "user": "alice", "created_at": BOOKED_AT},
        responses={200: AttendeeSerializer(many=True)}
        | refused(fields={"page_size": ["Enter a whole number above zero."]})
        | NEEDS_TOKEN
        | NOT_ITS_ORGANIZER
        | NO_SUCH_EVENT,
    ),
)
