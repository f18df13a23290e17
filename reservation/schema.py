"""The OpenAPI descriptions of the reservation endpoints."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema_serializer
from rest_framework.exceptions import NotFound

from event.exceptions import EventCancelled, EventStarted, SeatsAvailable, SoldOut
from event.schema import CALENDAR, EVENT, EVENT_NOT_FOUND, NOT_ORGANIZER, PAGE_NOT_FOUND
from eventmanagement.api.openapi import NEEDS_TOKEN, bad_request, describe, error, operation
from reservation.calendar import MAX_DESCRIPTION_LENGTH, MAX_ENTRIES
from reservation.exceptions import AlreadyReserved, AlreadyWaiting, CheckedIn
from reservation.serializers import (
    NO_SUCH_EVENT,
    NO_SUCH_RESERVATION,
    AttendeeSerializer,
    BookingSerializer,
    CalendarAddressSerializer,
    JoiningSerializer,
    ReservationSerializer,
    WaitingPersonSerializer,
    WaitlistEntrySerializer,
)
from reservation.views import (
    INVALID_FORMAT,
    AttendeeListView,
    AttendeeView,
    CalendarFeedView,
    CalendarKeyView,
    CheckInUndoView,
    CheckInView,
    EventWaitlistView,
    ReservationViewSet,
    WaitlistViewSet,
)

TAGS = ["Reservations"]
WAITLIST_TAGS = ["Waiting lists"]
BOOKED_AT = "2035-05-04T09:12:44.031850Z"
ATTENDEE = {"id": 1, "user": "alice", "created_at": BOOKED_AT, "from_waitlist": False, "checked_in_at": None}
RESERVATION = {"id": 1, "event": EVENT | {"seats_remaining": 39}} | ATTENDEE
WAITING = {"id": 1, "user": "alice", "position": 3, "created_at": BOOKED_AT}
PLACE = {"id": 1, "event": EVENT | {"seats_remaining": 0, "waiting": 3}} | WAITING
# Not the key of any calendar.
EXAMPLE_KEY = "A" * 43
RESERVATION_NOT_FOUND = error(
    HTTPStatus.NOT_FOUND, "No Reservation matches the given query.", "You have no reservation with this id."
)
EVENT_OR_PAGE_NOT_FOUND = error(
    HTTPStatus.NOT_FOUND,
    "No Event matches the given query.",
    "There is no event with this id, or this page does not exist.",
)
ATTENDEE_NOT_FOUND = error(
    HTTPStatus.NOT_FOUND, "Not found.", "There is no event with this id, or it has no reservation with this id."
)
PLACE_NOT_FOUND = error(
    HTTPStatus.NOT_FOUND,
    "No WaitlistEntry matches the given query.",
    "You have no place with this id. It may have become a reservation.",
)


def csv_line(values: Iterable[Any]) -> str:
    """Return a line of a CSV file. None of the values needs quotes."""
    return ",".join("" if value is None else json.dumps(value).strip('"') for value in values)


# Gives the request body of a booking the name ReservationRequest in the document.
extend_schema_serializer(component_name="Reservation")(BookingSerializer)
extend_schema_serializer(component_name="WaitlistEntry")(JoiningSerializer)

describe(
    ReservationViewSet,
    create=operation(
        "reservation_create",
        "Book a seat",
        description="Books one seat for you at an event that has not started. The event in the response has the "
        "number of free seats after your booking. If you already have a seat, the error contains the reservation's id. "
        "If the event is sold out, you can join its waiting list.",
        tags=TAGS,
        sends={"event_id": 1},
        returns=RESERVATION,
        responses={201: ReservationSerializer}
        | bad_request(
            "BookingRefusal",
            SoldOut(),
            AlreadyReserved(1),
            EventCancelled(),
            EventStarted(),
            fields=NO_SUCH_EVENT,
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
        description="Frees your seat. If people are on the waiting list, the first one gets it. You can't cancel after "
        "the event has started, or while you are checked in.",
        tags=TAGS,
        responses={204: None}
        | bad_request("CancellationRefusal", CheckedIn(), EventStarted())
        | NEEDS_TOKEN
        | RESERVATION_NOT_FOUND,
    ),
)

describe(
    AttendeeListView,
    get=operation(
        "event_attendees",
        "List the attendees of an event",
        description="Only for the organizer. In the order of booking; `count` is the number of reservations. "
        "`format=csv` returns all of them in one file, with the same columns. A text that a spreadsheet program would "
        "evaluate as a formula gets a leading apostrophe.",
        tags=["Events"],
        returns=ATTENDEE,
        files={"text/csv": f"{csv_line(ATTENDEE)}\r\n{csv_line(ATTENDEE.values())}\r\n"},
        parameters=[
            OpenApiParameter(
                "format", str, enum=["csv", "json"], description="`json`, in pages, or `csv`, all at once."
            )
        ],
        responses={200: AttendeeSerializer(many=True)}
        | bad_request(fields={"page_size": ["Enter a whole number greater than zero."], "format": [INVALID_FORMAT]})
        | NEEDS_TOKEN
        | NOT_ORGANIZER
        | EVENT_OR_PAGE_NOT_FOUND,
    ),
)

describe(
    AttendeeView,
    delete=operation(
        "event_attendee_remove",
        "Take a seat back",
        description="Only for the organizer. Deletes the reservation of an attendee, even if the event has started or "
        "the attendee is checked in. If people are on the waiting list, the first one gets the seat.",
        tags=["Events"],
        responses={204: None} | NEEDS_TOKEN | NOT_ORGANIZER | ATTENDEE_NOT_FOUND,
    ),
)

describe(
    CheckInView,
    post=operation(
        "event_check_in",
        "Check in an attendee",
        description="Only for the organizer. Possible at any time, unless the event was called off. If the attendee is "
        "checked in already, the response has the time of the first check-in.",
        tags=["Events"],
        sends={"reservation": 1},
        returns=ATTENDEE | {"checked_in_at": "2035-06-22T18:41:07.512300Z"},
        responses={200: AttendeeSerializer}
        | bad_request("CheckInRefusal", EventCancelled(), fields=NO_SUCH_RESERVATION)
        | NEEDS_TOKEN
        | NOT_ORGANIZER
        | EVENT_NOT_FOUND,
    ),
)

describe(
    CheckInUndoView,
    delete=operation(
        "event_check_in_undo",
        "Undo a check-in",
        description="Only for the organizer. If the attendee is not checked in, nothing changes.",
        tags=["Events"],
        responses={204: None} | NEEDS_TOKEN | NOT_ORGANIZER | ATTENDEE_NOT_FOUND,
    ),
)

describe(
    WaitlistViewSet,
    create=operation(
        "waitlist_join",
        "Join a waiting list",
        description="Adds you to the end of the waiting list of a full event that has not started and was not called "
        "off. When a seat becomes free, the first person on the list gets it at once, as a reservation with "
        "`from_waitlist`. There is nothing to confirm. Leave the list if you no longer want a seat. If you already "
        "have a seat or a place, the error contains the id of the reservation or of the place.",
        tags=WAITLIST_TAGS,
        sends={"event_id": 1},
        returns=PLACE,
        responses={201: WaitlistEntrySerializer}
        | bad_request(
            "JoiningRefusal",
            AlreadyReserved(1),
            AlreadyWaiting(1),
            EventCancelled(),
            EventStarted(),
            SeatsAvailable(),
            fields=NO_SUCH_EVENT,
        )
        | NEEDS_TOKEN,
    ),
    list=operation(
        "waitlist_list",
        "List your places",
        description="Your own places on waiting lists in the order of joining, 10 per page by default. A place that "
        "became a reservation is no longer here.",
        tags=WAITLIST_TAGS,
        returns=PLACE,
        responses={200: WaitlistEntrySerializer(many=True)}
        | bad_request(fields={"event": ["Enter a whole number."]})
        | NEEDS_TOKEN
        | PAGE_NOT_FOUND,
    ),
    retrieve=operation(
        "waitlist_retrieve",
        "Get a place",
        description="One of your places, with its current position and its event.",
        tags=WAITLIST_TAGS,
        returns=PLACE,
        responses={200: WaitlistEntrySerializer} | NEEDS_TOKEN | PLACE_NOT_FOUND,
    ),
    destroy=operation(
        "waitlist_leave",
        "Leave a waiting list",
        description="Removes your place, also after the event has started. The people behind you move up.",
        tags=WAITLIST_TAGS,
        responses={204: None} | NEEDS_TOKEN | PLACE_NOT_FOUND,
    ),
)

describe(
    EventWaitlistView,
    get=operation(
        "event_waitlist",
        "List the waiting list of an event",
        description="Only for the organizer. The list is in order: the first person gets the next seat. `count` is the "
        "number of people.",
        tags=["Events"],
        returns=WAITING,
        responses={200: WaitingPersonSerializer(many=True)}
        | bad_request(fields={"page_size": ["Enter a whole number greater than zero."]})
        | NEEDS_TOKEN
        | NOT_ORGANIZER
        | EVENT_OR_PAGE_NOT_FOUND,
    ),
)

describe(
    CalendarKeyView,
    post=operation(
        "calendar_create",
        "Create the address of your calendar",
        description="Returns the secret address of a calendar with your bookings, for calendar programs. The old "
        "address stops working. Everyone who knows the address can read the calendar: keep it secret, like a password. "
        "It works until you create another one, delete it or change your password, or an admin revokes it.",
        tags=TAGS,
        request=None,
        returns={"url": f"https://example.org/api/reservation/calendar/{EXAMPLE_KEY}.ics"},
        responses={201: CalendarAddressSerializer} | NEEDS_TOKEN,
    ),
    delete=operation(
        "calendar_delete",
        "Delete the address of your calendar",
        description="The address stops working. If you have none, nothing happens.",
        tags=TAGS,
        responses={204: None} | NEEDS_TOKEN,
    ),
)

describe(
    CalendarFeedView,
    get=operation(
        "calendar_feed",
        "Get your calendar",
        description="Your bookings in the iCalendar format. It needs no token, because the address is secret. It has "
        f"at most {MAX_ENTRIES} entries, without events that ended more than a year ago. A description is cut off "
        f"after {MAX_DESCRIPTION_LENGTH:,} characters.",
        tags=TAGS,
        auth=[],
        conditional=True,
        parameters=[OpenApiParameter("key", str, OpenApiParameter.PATH, description="The key in the address.")],
        files={"text/calendar": CALENDAR},
        responses=error(HTTPStatus.NOT_FOUND, str(NotFound.default_detail), "There is no calendar at this address."),
    ),
)
