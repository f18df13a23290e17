"""The OpenAPI descriptions of the event endpoints."""

from http import HTTPStatus

from django.conf import settings

from event.exceptions import CapacityBelowReserved
from event.filters import PLUS_HINT
from event.serializers import CancellationSerializer, EventSerializer
from event.views import EventCalendarView, EventViewSet
from eventmanagement.api.openapi import (
    IF_MATCH,
    NEEDS_TOKEN,
    PRECONDITION_FAILED,
    THROTTLED,
    WRITTEN_ETAG,
    bad_request,
    describe,
    error,
    operation,
)
from eventmanagement.api.times import INVALID_TIME

TAGS = ["Events"]
# The dates are far in the future, so that the example works in Swagger UI.
NEW_EVENT = {
    "title": "Jazz at the harbour",
    "description": "Two sets by the water. Bring a coat.",
    "start_time": "2035-06-22T19:00:00Z",
    "end_time": "2035-06-22T22:30:00Z",
    "show_time": "2035-06-22T18:30:00Z",
    "capacity": 40,
}
EVENT = (
    {"id": 1}
    | NEW_EVENT
    | {"seats_remaining": 40, "waiting": 0, "organizer": 1}
    | {"cancelled_at": None, "cancellation_reason": ""}
)
REASON = "The harbour is closed because of the storm."

# The lines of a calendar end with CRLF.
CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//eventmanagement//EN
BEGIN:VEVENT
SUMMARY:Jazz at the harbour
DTSTART:20350622T190000Z
DTEND:20350622T223000Z
DTSTAMP:20350504T091244Z
UID:9f3f6c9e-4f0c-4d4e-8f39-0a3a8e1c52d7
SEQUENCE:0
DESCRIPTION:Doors open: 2035-06-22 18:30 UTC\\n\\nTwo sets by the water. Bring
  a coat.
STATUS:CONFIRMED
URL:https://example.org/api/event/events/1/
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")

INVALID_TIMES = {"end_time": ["The event must end after it starts."]}
NOT_ORGANIZER = error(
    HTTPStatus.FORBIDDEN, "Only the organizer of this event may do this.", "You are not the organizer of this event."
)
EVENT_NOT_FOUND = error(HTTPStatus.NOT_FOUND, "No Event matches the given query.", "There is no event with this id.")
PAGE_NOT_FOUND = error(HTTPStatus.NOT_FOUND, "Invalid page.", "This page does not exist.")
CHANGE_ERRORS = NEEDS_TOKEN | NOT_ORGANIZER | EVENT_NOT_FOUND | PRECONDITION_FAILED
CAPACITY_ERRORS = bad_request("CapacityRefusal", CapacityBelowReserved(12), fields=INVALID_TIMES)
# For ``auth``: an empty list means that no token is needed, None means the view's authentication classes.
READ_AUTH: list[str] | None = [] if settings.EVENTS_PUBLIC else None

describe(
    EventViewSet,
    list=operation(
        "event_list",
        "List and search events",
        description="All events, including those that are over or were called off, in the order of their start. 10 per "
        "page by default. Filter them with the parameters.",
        tags=TAGS,
        auth=READ_AUTH,
        conditional=True,
        returns=EVENT,
        responses={200: EventSerializer(many=True)}
        | bad_request(fields={"start_after": [f"{INVALID_TIME} {PLUS_HINT}"]})
        | NEEDS_TOKEN
        | PAGE_NOT_FOUND,
    ),
    create=operation(
        "event_create",
        "Create an event",
        description="You become the organizer, and all seats are free. The number of events that an account can create "
        "is limited.",
        tags=TAGS,
        sends=NEW_EVENT,
        returns=EVENT,
        headers=[WRITTEN_ETAG],
        responses={201: EventSerializer} | bad_request(fields=INVALID_TIMES) | NEEDS_TOKEN | THROTTLED,
    ),
    retrieve=operation(
        "event_retrieve",
        "Get an event",
        description="One event, with its current number of free seats.",
        tags=TAGS,
        auth=READ_AUTH,
        conditional=True,
        returns=EVENT,
        responses={200: EventSerializer} | NEEDS_TOKEN | EVENT_NOT_FOUND,
    ),
    update=operation(
        "event_update",
        "Replace an event",
        description="Send all fields. `description` and `show_time` are reset if you leave them out. "
        "`seats_remaining` changes with the capacity, which can't be less than the number of reserved seats. People on "
        "the waiting list get the seats of a larger capacity first.",
        tags=TAGS,
        sends=NEW_EVENT,
        returns=EVENT,
        headers=[IF_MATCH, WRITTEN_ETAG],
        responses={200: EventSerializer} | CHANGE_ERRORS | CAPACITY_ERRORS,
    ),
    partial_update=operation(
        "event_partial_update",
        "Update an event",
        description="Send only the fields to change. `seats_remaining` changes with the capacity, which can't be less "
        "than the number of reserved seats. People on the waiting list get the seats of a larger capacity first.",
        tags=TAGS,
        sends={"capacity": 60},
        returns=EVENT | {"capacity": 60, "seats_remaining": 60},
        headers=[IF_MATCH, WRITTEN_ETAG],
        responses={200: EventSerializer} | CHANGE_ERRORS | CAPACITY_ERRORS,
    ),
    destroy=operation(
        "event_delete",
        "Delete an event",
        description="Also deletes its reservations and its waiting list.",
        tags=TAGS,
        headers=[IF_MATCH],
        responses={204: None} | CHANGE_ERRORS,
    ),
    cancel=operation(
        "event_cancel",
        "Call off an event",
        description="This can't be undone. The event keeps its reservations, which their owners can still cancel until "
        "the start. Its waiting list is deleted, and it can't be booked any more. The reason is optional. If the event "
        "was called off before, nothing changes.",
        tags=TAGS,
        request=CancellationSerializer,
        sends={"reason": REASON},
        returns=EVENT | {"cancelled_at": "2035-06-20T08:15:30.250000Z", "cancellation_reason": REASON},
        headers=[IF_MATCH, WRITTEN_ETAG],
        responses={200: EventSerializer}
        | bad_request(fields={"reason": ["Ensure this field has no more than 2000 characters."]})
        | CHANGE_ERRORS,
    ),
)

describe(
    EventCalendarView,
    get=operation(
        "event_calendar",
        "Get an event for a calendar",
        description="The event in the iCalendar format. Its `UID` never changes. `SEQUENCE` grows with every "
        "change of the title, the description or the times, and when the event is called off.",
        tags=TAGS,
        auth=READ_AUTH,
        conditional=True,
        files={"text/calendar": CALENDAR},
        responses=NEEDS_TOKEN | EVENT_NOT_FOUND,
    ),
)
