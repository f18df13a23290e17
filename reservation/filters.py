import django_filters

from event.filters import IntegerFilter
from reservation.models import Reservation


class ReservationFilter(django_filters.FilterSet):
    event = IntegerFilter(field_name="event_id", label="The id of the event")

    class Meta:
        model = Reservation
        fields: list[str] = []
