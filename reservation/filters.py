import django_filters

from event.filters import IdFilter
from reservation.models import Reservation, WaitlistEntry


class ReservationFilter(django_filters.FilterSet):
    event = IdFilter(field_name="event_id", label="The id of the event")

    class Meta:
        model = Reservation
        fields: list[str] = []


class WaitlistFilter(django_filters.FilterSet):
    event = IdFilter(field_name="event_id", label="The id of the event")

    class Meta:
        model = WaitlistEntry
        fields: list[str] = []
