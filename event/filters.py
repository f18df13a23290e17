from datetime import datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import BigIntegerField

from event.models import Event, EventQuerySet
from eventmanagement.api.search import SearchField
from eventmanagement.api.times import parse_time

ORDERINGS = [
    "start_time",
    "-start_time",
    "capacity",
    "-capacity",
    "seats_remaining",
    "-seats_remaining",
]

# In a query string, an unescaped plus sign stands for a space.
PLUS_HINT = "In a URL, escape the plus sign."


class IdFilter(django_filters.Filter):
    """Filters by an integer id. Unlike NumberFilter, it does not parse decimals: 1E999999999 would take long."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, min_value=1, max_value=BigIntegerField.MAX_BIGINT, **options)


class DateTimeField(forms.DateTimeField):
    """A date and time in the same formats as in request bodies, converted to UTC."""

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            return parse_time(value)
        except ValueError as error:
            raise forms.ValidationError(f"{error} {PLUS_HINT}", code="invalid") from None


class DateTimeFilter(django_filters.Filter):
    field_class = DateTimeField


class SearchFilter(django_filters.CharFilter):
    field_class = SearchField


class EventFilter(django_filters.FilterSet):
    """The query parameters of the list of events. Invalid values are field errors; unknown parameters are ignored."""

    search = SearchFilter(
        method="filter_search", label="Up to six words. Each must occur in the title or the description"
    )
    organizer = IdFilter(field_name="organizer_id", label="The id of the organizer")
    start_after = DateTimeFilter(
        field_name="start_time", lookup_expr="gt", label="Starts after this time (ISO 8601, UTC if it has no zone)"
    )
    start_before = DateTimeFilter(
        field_name="start_time", lookup_expr="lt", label="Starts before this time (ISO 8601, UTC if it has no zone)"
    )
    available = django_filters.ChoiceFilter(
        method="filter_available",
        choices=[("true", "true"), ("false", "false")],
        label="true: events that were not called off, have not started and have seats left; false: all others",
    )
    upcoming = django_filters.ChoiceFilter(
        method="filter_upcoming",
        choices=[("true", "true"), ("false", "false")],
        label="true: events that are not over yet; false: events that are over",
    )
    cancelled = django_filters.ChoiceFilter(
        method="filter_cancelled",
        choices=[("true", "true"), ("false", "false")],
        label="true: events that were called off; false: events that were not",
    )
    ordering = django_filters.ChoiceFilter(
        method="filter_ordering",
        choices=[(name, name) for name in ORDERINGS],
        label="The sort field. A leading minus sorts in descending order",
    )

    class Meta:
        model = Event
        fields: list[str] = []

    def filter_search(self, events: EventQuerySet, name: str, text: str) -> EventQuerySet:
        return events.with_words(text.split())

    def filter_available(self, events: EventQuerySet, name: str, value: str) -> EventQuerySet:
        return events.bookable() if value == "true" else events.not_bookable()

    def filter_upcoming(self, events: EventQuerySet, name: str, value: str) -> EventQuerySet:
        return events.upcoming() if value == "true" else events.over()

    def filter_cancelled(self, events: EventQuerySet, name: str, value: str) -> EventQuerySet:
        return events.called_off() if value == "true" else events.not_called_off()

    def filter_ordering(self, events: EventQuerySet, name: str, ordering: Any) -> EventQuerySet:
        return events.order_by(ordering, "id")
