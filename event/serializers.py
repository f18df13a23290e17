from collections.abc import Iterator
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from event.models import (
    DOORS_OPEN_TOO_LATE,
    EVENT_HAS_ENDED,
    MAX_REASON_LENGTH,
    STARTS_TOO_EARLY,
    Event,
    starts_too_early,
)
from eventmanagement.api.fields import ModelSerializer, NormalizedCharField
from eventmanagement.api.mixins import CachedFieldsMixin
from eventmanagement.text_fields import validate_text

TIME_ZONE_HELP = "A date and a time in ISO 8601 format. Without a zone, it is UTC. A date alone is refused."

SEND_SHOW_TIME = "Send show_time too, with a new time or null."


class EventSerializer(CachedFieldsMixin, ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = [
            "id",
            "title",
            "description",
            "start_time",
            "end_time",
            "show_time",
            "capacity",
            "seats_remaining",
            "waiting",
            "organizer",
            "cancelled_at",
            "cancellation_reason",
        ]
        read_only_fields = ["organizer"]
        extra_kwargs = {
            # PUT resets these fields to their defaults if they are left out.
            "description": {"default": "", "help_text": "Optional."},
            "start_time": {"help_text": f"When the event starts. {TIME_ZONE_HELP}"},
            "end_time": {"help_text": f"When the event ends. {TIME_ZONE_HELP}"},
            "show_time": {"default": None, "help_text": f"When the doors open. Optional. {TIME_ZONE_HELP}"},
            "capacity": {"help_text": "The total number of seats."},
            "seats_remaining": {"help_text": "The number of free seats."},
            "waiting": {"help_text": "The number of people on the waiting list."},
            "organizer": {"help_text": "The id of the user who organizes the event."},
            "cancelled_at": {"help_text": "When the event was called off; null if it was not."},
            "cancellation_reason": {"help_text": "Why the event was called off. May be empty."},
        }

    def validate(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Check the times as they will be after the update, including unchanged ones."""
        times: Iterator[Any] = (
            changes.get(field, getattr(self.instance, field, None)) for field in ("start_time", "end_time", "show_time")
        )
        start, end, doors = times
        if end <= start:
            raise serializers.ValidationError({"end_time": ["The event must end after it starts."]})
        if doors and doors > end:
            hint = "" if "show_time" in changes else f" {SEND_SHOW_TIME}"
            raise serializers.ValidationError({"show_time": [DOORS_OPEN_TOO_LATE + hint]})
        if not self.instance and end <= timezone.now():
            raise serializers.ValidationError({"end_time": [EVENT_HAS_ENDED]})
        start_changed = not self.instance or start != self.instance.start_time
        if start_changed and starts_too_early(start):
            raise serializers.ValidationError({"start_time": [STARTS_TOO_EARLY]})
        return changes

    def update(self, event: Event, changes: dict[str, Any]) -> Event:
        for field, value in changes.items():
            setattr(event, field, value)
        event.save(update_fields=changes)
        return event


class CancellationSerializer(serializers.Serializer[Event]):
    """What the organizer sends to call an event off."""

    reason = NormalizedCharField(
        required=False,
        allow_blank=True,
        max_length=MAX_REASON_LENGTH,
        validators=[validate_text],
        help_text="Why the event was called off, for everybody to read. Optional.",
    )
