"""The table of upcoming events on the admin index page."""

from typing import Any

from django import template
from django.db.models import Count, F, Sum
from django.utils.safestring import SafeString

from event.admin import booked_bar
from event.models import Event

MAX_ROWS = 12

register = template.Library()


@register.inclusion_tag("admin/event/upcoming_events.html")
def upcoming_events() -> dict[str, Any]:
    """Return the next events, and the totals of all upcoming events."""
    upcoming = Event.objects.not_started()
    sums = upcoming.aggregate(
        events=Count("pk"), seats=Sum("capacity"), booked=Sum(F("capacity") - F("seats_remaining"))
    )
    return {"events": upcoming[:MAX_ROWS], "sums": sums}


@register.filter
def booked(event: Event) -> SafeString:
    return booked_bar(event)
