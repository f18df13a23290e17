"""The admin pages for events."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, FloatField, QuerySet
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from event.exceptions import CapacityBelowReserved
from event.models import NOT_STARTED, Event
from eventmanagement.serving.admin import ModelAdmin

CONSTRAINT_MESSAGES = {each.name: str(each.violation_error_message) for each in Event._meta.constraints}


def booked_bar(event: Event) -> SafeString:
    """Return a progress bar of the booked seats, followed by the numbers, and by "sold out" if no seat is left."""
    return format_html(
        '<progress max="{}" value="{}"></progress> {} of {}{}',
        event.capacity,
        event.reserved,
        event.reserved,
        event.capacity,
        SafeString("" if event.seats_remaining else " <strong>sold out</strong>"),
    )


def event_label(event: Event) -> str:
    """Return the title and the start, because several events can have the same title."""
    return f"{event.title}, {date_format(event.start_time, 'DATETIME_FORMAT')}"


class EventAdminForm(forms.ModelForm):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            # Keeps the value that the page was opened with, so that ``changed_data`` lists only edits on this page,
            # not changes made by others since then.
            field.show_hidden_initial = True

    def clean(self) -> dict[str, Any]:
        """Lock the event until it is saved. Validate the edited fields together with the current values of the others.

        The capacity must not be less than the number of reserved seats. Each error is attached to a field, so that it
        is shown next to the field. The model's constraints would report the same errors for the whole form.
        """
        super().clean()
        data = self.cleaned_data
        if self.instance.pk:
            event = Event.objects.locked().filter(pk=self.instance.pk).first()
            if event is None:
                raise forms.ValidationError("This event has been deleted.")
            for field in data.keys() - set(self.changed_data):
                data[field] = getattr(event, field)
            if data.get("capacity", event.capacity) < event.reserved:
                self.add_error("capacity", str(CapacityBelowReserved(event.reserved)))
        start, end, doors = (data.get(field) for field in ("start_time", "end_time", "show_time"))
        if start and end and start >= end:
            self.add_error("end_time", CONSTRAINT_MESSAGES["event_starts_before_it_ends"])
        if doors and end and doors > end:
            self.add_error("show_time", CONSTRAINT_MESSAGES["event_opens_before_it_ends"])
        return data


class SeatsFilter(admin.SimpleListFilter):
    title = "seats"
    parameter_name = "seats"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("sold_out", "Sold out"), ("few", "10% or less left"), ("left", "Seats left")]

    def queryset(self, request: HttpRequest, events: QuerySet[Event]) -> QuerySet[Event]:
        match self.value():
            case "sold_out":
                return events.filter(seats_remaining=0)
            case "few":
                return events.filter(seats_remaining__gt=0, seats_remaining__lte=F("capacity") / 10)
            case "left":
                return events.filter(seats_remaining__gt=0)
        return events


class StartFilter(admin.SimpleListFilter):
    title = "start"
    parameter_name = "start"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("not_started", "Not started"), ("started", "Started or ended")]

    def queryset(self, request: HttpRequest, events: QuerySet[Event]) -> QuerySet[Event]:
        match self.value():
            case "not_started":
                return events.filter(NOT_STARTED)
            case "started":
                return events.exclude(NOT_STARTED)
        return events


@admin.register(Event)
class EventAdmin(ModelAdmin):
    form = EventAdminForm
    list_display = ["title", "start_time", "booked", "people_waiting", "organizer"]
    list_select_related = ["organizer"]
    list_filter = [SeatsFilter, StartFilter]
    search_fields = ["title", "description", "organizer__username"]
    date_hierarchy = "start_time"
    linked_lookups = ["organizer__id__exact"]
    # The full count would need a second COUNT query over the whole table.
    show_full_result_count = False
    autocomplete_fields = ["organizer"]
    readonly_fields = ["booked", "seats_remaining", "people_waiting"]
    fieldsets = [
        (None, {"fields": ["title", "description", "organizer"]}),
        ("Times", {"fields": ["show_time", "start_time", "end_time"]}),
        ("Seats", {"fields": ["capacity", "booked", "seats_remaining", "people_waiting"]}),
    ]

    class Media:
        css = {"all": ["event/admin.css"]}

    @admin.display(description="booked", ordering=Cast("seats_remaining", FloatField()) / F("capacity") * -1)
    def booked(self, event: Event) -> SafeString | str:
        return self.get_empty_value_display() if event.pk is None else booked_bar(event)

    @admin.display(description="waiting", ordering="waiting")
    def people_waiting(self, event: Event) -> int | None:
        # A new event has the default of the database, which is not known here.
        return None if event.pk is None else event.waiting

    def label(self, event: Event) -> str:
        return event_label(event)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"organizer": request.user.pk} | super().get_changeform_initial_data(request)

    def save_model(self, request: HttpRequest, event: Event, form: forms.ModelForm, change: bool) -> None:
        """Save only the edited fields: the others may have been changed since the page was opened."""
        event.save(update_fields=form.changed_data if change else None)
