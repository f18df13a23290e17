from typing import Any

from rest_framework import serializers

from event.models import Event
from event.serializers import EventSerializer
from eventmanagement.api.mixins import CachedFieldsMixin
from reservation.models import Reservation, WaitlistEntry

FROM_WAITLIST = {"help_text": "Whether the seat came from the waiting list."}
NO_SUCH_EVENT = {"event_id": ["There is no event with this id."]}


class BookingSerializer(serializers.Serializer[Reservation]):
    # Not a PrimaryKeyRelatedField, which would load the event with an extra query.
    event_id = serializers.IntegerField()

    def create(self, booking: dict[str, Any]) -> Reservation:
        try:
            return Reservation.objects.book(**booking)
        except Event.DoesNotExist:
            raise serializers.ValidationError(NO_SUCH_EVENT) from None

    def to_representation(self, reservation: Reservation) -> dict[str, Any]:
        return ReservationSerializer().to_representation(reservation)


class ReservationSerializer(CachedFieldsMixin, serializers.ModelSerializer[Reservation]):
    event = EventSerializer(read_only=True)
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Reservation
        fields = ["id", "event", "user", "created_at", "from_waitlist"]
        extra_kwargs = {"from_waitlist": FROM_WAITLIST}


class AttendeeSerializer(CachedFieldsMixin, serializers.ModelSerializer[Reservation]):
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Reservation
        fields = ["id", "user", "created_at", "from_waitlist"]
        extra_kwargs = {"from_waitlist": FROM_WAITLIST}


class JoiningSerializer(serializers.Serializer[WaitlistEntry]):
    # As for a booking.
    event_id = serializers.IntegerField()

    def create(self, joining: dict[str, Any]) -> WaitlistEntry:
        try:
            return WaitlistEntry.objects.join(**joining)
        except Event.DoesNotExist:
            raise serializers.ValidationError(NO_SUCH_EVENT) from None

    def to_representation(self, entry: WaitlistEntry) -> dict[str, Any]:
        return WaitlistEntrySerializer().to_representation(entry)


class WaitingPersonSerializer(CachedFieldsMixin, serializers.ModelSerializer[WaitlistEntry]):
    """A place as the organizer of the event sees it."""

    user = serializers.CharField(source="user.username", read_only=True)
    position = serializers.IntegerField(read_only=True, help_text="The place in line, starting at 1.")

    class Meta:
        model = WaitlistEntry
        fields = ["id", "user", "position", "created_at"]


class WaitlistEntrySerializer(WaitingPersonSerializer):
    event = EventSerializer(read_only=True)

    class Meta(WaitingPersonSerializer.Meta):
        fields = ["id", "event", "user", "position", "created_at"]


class CalendarAddressSerializer(serializers.Serializer[dict[str, str]]):
    url = serializers.URLField(read_only=True)
