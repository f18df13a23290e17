"""Reads calendars with another implementation of iCalendar than the one that writes them."""

import vobject
from django.http import HttpResponse


def entries(response: HttpResponse) -> list[dict[str, object]]:
    """Return the entries of a calendar, with the value of each of their properties. No property occurs twice.

    Raises AssertionError if the response is not a calendar, or if a line is too long or ends wrongly.
    """
    assert response.status_code == 200
    assert response["Content-Type"] == "text/calendar; charset=utf-8"
    assert response.content.endswith(b"END:VCALENDAR\r\n")
    for line in response.content.split(b"\r\n"):
        assert len(line) <= 75
        assert b"\n" not in line
        # No line begins or ends within a character.
        line.decode()
    calendar = vobject.readOne(response.content.decode())
    assert (calendar.version.value, bool(calendar.prodid.value)) == ("2.0", True)
    return [
        {name: only.value for name, [only] in event.contents.items()} for event in calendar.contents.get("vevent", [])
    ]


def entry(response: HttpResponse) -> dict[str, object]:
    [only] = entries(response)
    return only
