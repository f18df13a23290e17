"""The table of the next events on the admin index page."""

from typing import Any

from django import template
from django.db.models import Count, F, Sum
from django.utils.safestring import SafeString

from event.admin import booked_bar
from event.models import NOT_CANCELLED, Event

MAX_ROWS = 12

register = template.Library()


@register.inclusion_tag("admin/event/next_events.html")
def next_events() -> dict[str, Any]:
    """Return the next events to start, and the totals of all events that have not started.

    The totals do not include events that were called off. Their number is ``called_off``.
    """
    not_started = Event.objects.not_started()
    sums = not_started.aggregate(
        events=Count("pk", filter=NOT_CANCELLED),
        seats=Sum("capacity", filter=NOT_CANCELLED, default=0),
        booked=Sum(F("capacity") - F("seats_remaining"), filter=NOT_CANCELLED, default=0),
        called_off=Count("cancelled_at"),
    )
    return {"events": not_started[:MAX_ROWS], "sums": sums}


@register.filter
def booked(event: Event) -> SafeString:
    return booked_bar(event)
