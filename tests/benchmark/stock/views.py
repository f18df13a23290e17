"""Booking and waiting lists as in REST framework's tutorial."""

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from rest_framework import serializers, viewsets

from tests.benchmark.stock.models import Event, Reservation, WaitlistEntry


class EventSerializer(serializers.ModelSerializer):
    class Meta:
        model = Event
        fields = "__all__"


class ReservationSerializer(serializers.ModelSerializer):
    event_id = serializers.PrimaryKeyRelatedField(source="event", queryset=Event.objects.all(), write_only=True)
    event = EventSerializer(read_only=True)
    user = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Reservation
        fields = ["id", "event_id", "event", "user", "created_at"]


class WaitlistEntrySerializer(ReservationSerializer):
    position = serializers.IntegerField(read_only=True)

    class Meta:
        model = WaitlistEntry
        fields = ["id", "event_id", "event", "user", "position", "created_at"]


class EventViewSet(viewsets.ModelViewSet):
    queryset = Event.objects.all()
    serializer_class = EventSerializer


class ReservationViewSet(viewsets.ModelViewSet):
    queryset = Reservation.objects.select_related("event", "user")
    serializer_class = ReservationSerializer

    @transaction.atomic
    def perform_create(self, serializer):
        event = serializer.validated_data["event"]
        if Reservation.objects.filter(user=self.request.user, event=event).exists():
            raise serializers.ValidationError({"detail": "You already hold a seat.", "code": "already_reserved"})
        free = Event.objects.filter(pk=event.pk, seats_remaining__gt=0, start_time__gt=timezone.now())
        if not free.update(seats_remaining=F("seats_remaining") - 1):
            raise serializers.ValidationError({"detail": "No seats left.", "code": "sold_out"})
        event.refresh_from_db()
        serializer.save(user=self.request.user)

    @transaction.atomic
    def perform_destroy(self, reservation):
        event = Event.objects.select_for_update().get(pk=reservation.event_id)
        reservation.delete()
        first = WaitlistEntry.objects.filter(event=event).first()
        if first:
            Reservation.objects.create(event=event, user=first.user)
            first.delete()
            Event.objects.filter(pk=event.pk).update(waiting=F("waiting") - 1)
        else:
            Event.objects.filter(pk=event.pk).update(seats_remaining=F("seats_remaining") + 1)


class WaitlistViewSet(viewsets.ModelViewSet):
    queryset = WaitlistEntry.objects.select_related("event", "user")
    serializer_class = WaitlistEntrySerializer

    @transaction.atomic
    def perform_create(self, serializer):
        event = serializer.validated_data["event"]
        if Reservation.objects.filter(user=self.request.user, event=event).exists():
            raise serializers.ValidationError({"detail": "You already hold a seat.", "code": "already_reserved"})
        full = Event.objects.filter(pk=event.pk, seats_remaining=0, start_time__gt=timezone.now())
        if not full.update(waiting=F("waiting") + 1):
            raise serializers.ValidationError({"detail": "There are free seats.", "code": "seats_available"})
        event.refresh_from_db()
        serializer.save(user=self.request.user)
        serializer.instance.position = event.waiting
