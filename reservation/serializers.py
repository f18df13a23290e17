from typing import Any

from rest_framework import serializers

from event.models import Event
from event.serializers import EventSerializer
from reservation.models import Reservation


class ReservationSerializer(serializers.ModelSerializer):
    # Not a PrimaryKeyRelatedField: it would read the event, and booking asks for it anyway.
    event_id = serializers.IntegerField(write_only=True)
    event = EventSerializer(read_only=True)
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Reservation
        fields = ["id", "event_id", "event", "user", "created_at"]

    def create(self, booking: dict[str, Any]) -> Reservation:
        try:
            return Reservation.objects.book(**booking)
        except Event.DoesNotExist:
            raise serializers.ValidationError({"event_id": ["There is no event with this id."]}) from None


class AttendeeSerializer(serializers.ModelSerializer):
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Reservation
        fields = ["id", "user", "created_at"]
