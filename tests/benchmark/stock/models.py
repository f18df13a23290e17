"""Plain models for the project's tables, without the project's rules."""

from django.conf import settings
from django.db import models


class Event(models.Model):
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    show_time = models.DateTimeField(null=True, blank=True)
    capacity = models.IntegerField()
    seats_remaining = models.IntegerField()
    waiting = models.IntegerField(default=0)
    organizer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta:
        managed = False
        db_table = "event_event"
        ordering = ["start_time", "id"]

    def __str__(self):
        return self.title


class Reservation(models.Model):
    event = models.ForeignKey(Event, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        managed = False
        db_table = "reservation_reservation"
        ordering = ["id"]
        constraints = [models.UniqueConstraint(name="reservation_once_per_user_and_event", fields=["user", "event"])]

    def __str__(self):
        return f"{self.user} at {self.event}"


class WaitlistEntry(models.Model):
    event = models.ForeignKey(Event, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        managed = False
        db_table = "reservation_waitlistentry"
        ordering = ["id"]
        constraints = [models.UniqueConstraint(name="waitlist_once_per_user_and_event", fields=["user", "event"])]

    def __str__(self):
        return f"{self.user} waits for {self.event}"
