from typing import Any

import django_filters
from django import forms
from django.db.models import Q

from event.models import Event, EventQuerySet

ORDERINGS = [
    "start_time",
    "-start_time",
    "capacity",
    "-capacity",
    "seats_remaining",
    "-seats_remaining",
]


class IntegerFilter(django_filters.Filter):
    """An exact whole number. (NumberFilter reads a decimal, and 1E999999999 takes it a while.)"""

    field_class = forms.IntegerField


class EventFilter(django_filters.FilterSet):
    """How events are found. A bad value is refused on its field; what is not named here is ignored."""

    search = django_filters.CharFilter(method="matching", label="Words in the title or the description")
    organizer = IntegerFilter(field_name="organizer_id", label="The id of the organizer")
    start_after = django_filters.IsoDateTimeFilter(field_name="start_time", lookup_expr="gt")
    start_before = django_filters.IsoDateTimeFilter(field_name="start_time", lookup_expr="lt")
    available = django_filters.ChoiceFilter(
        method="by_availability",
        choices=[("true", "true"), ("false", "false")],
        label="true: not started, and seats are left",
    )
    ordering = django_filters.ChoiceFilter(method="ordered", choices=[(name, name) for name in ORDERINGS])

    class Meta:
        model = Event
        fields: list[str] = []

    def matching(self, events: EventQuerySet, name: str, text: str) -> EventQuerySet:
        for word in text.split():
            events = events.filter(Q(title__icontains=word) | Q(description__icontains=word))
        return events

    def by_availability(self, events: EventQuerySet, name: str, value: str) -> EventQuerySet:
        bookable = events.bookable()
        return bookable if value == "true" else events.exclude(pk__in=bookable.values("pk"))

    def ordered(self, events: EventQuerySet, name: str, ordering: Any) -> EventQuerySet:
        return events.order_by(ordering, "id")
