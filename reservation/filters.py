import django_filters

from event.filters import IdFilter
from reservation.models import Reservation, ReservationQuerySet, WaitlistEntry


class ReservationFilter(django_filters.FilterSet):
    event = IdFilter(field_name="event_id", label="The id of the event")

    class Meta:
        model = Reservation
        fields: list[str] = []


class AttendeeFilter(django_filters.FilterSet):
    checked_in = django_filters.ChoiceFilter(
        method="filter_checked_in",
        choices=[("true", "true"), ("false", "false")],
        label="true: attendees who are checked in; false: attendees who are not",
    )

    class Meta:
        model = Reservation
        fields: list[str] = []

    def filter_checked_in(self, reservations: ReservationQuerySet, name: str, value: str) -> ReservationQuerySet:
        return reservations.checked_in() if value == "true" else reservations.not_checked_in()


class WaitlistFilter(django_filters.FilterSet):
    event = IdFilter(field_name="event_id", label="The id of the event")

    class Meta:
        model = WaitlistEntry
        fields: list[str] = []
