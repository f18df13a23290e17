from typing import Any

from rest_framework import serializers

from event.models import Event
from event.serializers import EventSerializer
from eventmanagement.api.mixins import CachedFieldsMixin
from reservation.models import Reservation


class BookingSerializer(serializers.Serializer[Reservation]):
    # Not a PrimaryKeyRelatedField, which would load the event with an extra query.
    event_id = serializers.IntegerField()

    def create(self, booking: dict[str, Any]) -> Reservation:
        try:
            return Reservation.objects.book(**booking)
        except Event.DoesNotExist:
            raise serializers.ValidationError({"event_id": ["There is no event with this id."]}) from None

    def to_representation(self, reservation: Reservation) -> dict[str, Any]:
        return ReservationSerializer().to_representation(reservation)


class ReservationSerializer(CachedFieldsMixin, serializers.ModelSerializer[Reservation]):
    event = EventSerializer(read_only=True)
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Reservation
        fields = ["id", "event", "user", "created_at"]


class AttendeeSerializer(CachedFieldsMixin, serializers.ModelSerializer[Reservation]):
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Reservation
        fields = ["id", "user", "created_at"]
