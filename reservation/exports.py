"""The attendees of an event as a CSV file, for the API and the admin."""

from django.db.models import QuerySet
from django.http import FileResponse

from event.models import Event
from eventmanagement.api.csv_files import csv_response
from eventmanagement.api.downloads import content_disposition
from reservation.models import Reservation
from reservation.serializers import AttendeeSerializer


def attendees_csv(event: Event, attendees: QuerySet[Reservation]) -> FileResponse:
    """Return a file with a line for each of these attendees of the event, in the order of booking.

    Raises Unavailable. See ``csv_response``.
    """
    disposition = content_disposition("attendees of {}.csv", event.title, f"event {event.pk}")
    return csv_response(attendees.order_by("pk"), AttendeeSerializer, disposition)
