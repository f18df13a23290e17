"""Events in the iCalendar format (RFC 5545)."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import icalendar
from django.http import HttpResponse, HttpResponseNotModified
from django.utils.timezone import now
from rest_framework.request import Request
from rest_framework.reverse import reverse

from event.models import Event
from eventmanagement.api.mixins import etag_matches

CONTENT_TYPE = "text/calendar; charset=utf-8"
# The time of the request. The ETag leaves it out.
STAMP = re.compile(rb"^DTSTAMP:.*\r\n", re.MULTILINE)


class Text(icalendar.vText):
    r"""A text that keeps a backslash before an N, as in C:\New. icalendar would write both as a line break."""

    def to_ical(self) -> bytes:
        return rb"\\N".join(icalendar.vText(part).to_ical() for part in self.split(r"\N"))


def calendar_entry(event: Event, description: str, request: Request) -> icalendar.Event:
    """Return the entry of an event, with this description and with a link to the event in the API.

    UID never changes, so calendar programs update the entry that they have. SEQUENCE grows with every change.
    """
    entry = icalendar.Event()
    entry.add("UID", str(event.uid))
    entry.add("DTSTAMP", now())
    entry.add("SEQUENCE", event.revision)
    entry.add("STATUS", "CANCELLED" if event.cancelled_at else "CONFIRMED")
    entry.add("SUMMARY", Text(event.title))
    start, end = in_seconds(event.start_time), in_seconds(event.end_time)
    entry.add("DTSTART", start)
    if start < end:
        # DTEND must be after the start. Without DTEND, the event ends when it starts.
        entry.add("DTEND", end)
    if event.show_time:
        description = f"Doors open: {event.show_time:%Y-%m-%d %H:%M} UTC\n\n{description}".strip()
    if event.cancellation_reason:
        description = f"Called off: {event.cancellation_reason}\n\n{description}".strip()
    if description:
        entry.add("DESCRIPTION", Text(description))
    entry.add("URL", reverse("event-detail", [event.pk], request=request))
    return entry


def in_seconds(time: datetime) -> datetime:
    """Return the time in UTC without its fraction of a second, which the format does not have."""
    return time.astimezone(UTC).replace(microsecond=0)


def calendar_response(request: Request, entries: Iterable[icalendar.Event], name: str = "") -> HttpResponse:
    """Return a calendar with these entries, or 304 if the client has it. Calendar programs show ``name``."""
    calendar = icalendar.Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//eventmanagement//EN")
    if name:
        calendar.add("X-WR-CALNAME", name)
        # How often programs should read it again: the first is the standard (RFC 7986), the second is older.
        calendar.add("REFRESH-INTERVAL", timedelta(hours=1), {"VALUE": "DURATION"})
        calendar.add("X-PUBLISHED-TTL", "PT1H")
    for entry in entries:
        calendar.add_component(entry)
    content = calendar.to_ical()
    tag = f'"{blake2b(STAMP.sub(b"", content), digest_size=16).hexdigest()}"'
    response: HttpResponse = (
        HttpResponseNotModified() if etag_matches(request, tag) else HttpResponse(content, content_type=CONTENT_TYPE)
    )
    # Weak, because two responses with the same tag differ in their stamps.
    response["ETag"] = f"W/{tag}"
    return response
