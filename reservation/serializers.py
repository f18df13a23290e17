from typing import Any

from rest_framework import serializers

from event.models import Event
from event.serializers import EventSerializer
from eventmanagement.api.mixins import CachedFieldsMixin
from reservation.models import Reservation, WaitlistEntry

RESERVATION_FIELDS = {
    "from_waitlist": {"help_text": "Whether the seat came from the waiting list."},
    "checked_in_at": {"help_text": "When the user was checked in at the event; null if the user is not checked in."},
}
NO_SUCH_RESERVATION = {"reservation": ["This event has no reservation with this id."]}
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
        fields = ["id", "event", "user", "created_at", "from_waitlist", "checked_in_at"]
        extra_kwargs = RESERVATION_FIELDS


class AttendeeSerializer(CachedFieldsMixin, serializers.ModelSerializer[Reservation]):
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Reservation
        fields = ["id", "user", "created_at", "from_waitlist", "checked_in_at"]
        extra_kwargs = RESERVATION_FIELDS


class CheckInSerializer(serializers.Serializer[Reservation]):
    """Checks a reservation in at the event that is passed to ``save``."""

    reservation = serializers.IntegerField(help_text="The id of a reservation of this event.")

    def create(self, check_in: dict[str, Any]) -> Reservation:
        try:
            return Reservation.objects.check_in(check_in["event_id"], check_in["reservation"])
        except Reservation.DoesNotExist:
            raise serializers.ValidationError(NO_SUCH_RESERVATION) from None

    def to_representation(self, reservation: Reservation) -> dict[str, Any]:
        return AttendeeSerializer().to_representation(reservation)


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
    position = serializers.IntegerField(read_only=True, help_text="The position on the waiting list, starting at 1.")

    class Meta:
        model = WaitlistEntry
        fields = ["id", "user", "position", "created_at"]


class WaitlistEntrySerializer(WaitingPersonSerializer):
    event = EventSerializer(read_only=True)

    class Meta(WaitingPersonSerializer.Meta):
        fields = ["id", "event", "user", "position", "created_at"]


class CalendarAddressSerializer(serializers.Serializer[dict[str, str]]):
    url = serializers.URLField(read_only=True)
