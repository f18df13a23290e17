"""The admin pages for events."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, FloatField, QuerySet
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from event.exceptions import CapacityBelowReserved
from event.models import NOT_STARTED, Event
from eventmanagement.serving.admin import LimitedSearchMixin


def booked_bar(event: Event) -> SafeString:
    """Return a progress bar of the booked seats, followed by the numbers."""
    return format_html(
        '<progress max="{}" value="{}"></progress> {} of {}',
        event.capacity,
        event.reserved,
        event.reserved,
        event.capacity,
    )


class EventAdminForm(forms.ModelForm):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            # Keeps the value that the page was opened with, so that ``changed_data`` lists only edits on this page,
            # not changes made by others since then.
            field.show_hidden_initial = True

    def clean(self) -> dict[str, Any]:
        """Lock the event until it is saved. Validate the edited fields together with the current values of the others.

        The capacity must not be less than the number of reserved seats.
        """
        super().clean()
        data = self.cleaned_data
        if not self.instance.pk:
            return data
        event = Event.objects.locked().filter(pk=self.instance.pk).first()
        if event is None:
            raise forms.ValidationError("This event has been deleted.")
        for field in data.keys() - set(self.changed_data):
            data[field] = getattr(event, field)
        if data.get("capacity", event.capacity) < event.reserved:
            self.add_error("capacity", str(CapacityBelowReserved(event.reserved)))
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
class EventAdmin(LimitedSearchMixin, admin.ModelAdmin):
    form = EventAdminForm
    list_display = ["title", "booked", "start_time", "organizer"]
    list_select_related = ["organizer"]
    list_filter = [SeatsFilter, StartFilter]
    search_fields = ["title", "description", "organizer__username"]
    date_hierarchy = "start_time"
    # The full count would need a second COUNT query over the whole table.
    show_full_result_count = False
    autocomplete_fields = ["organizer"]
    readonly_fields = ["booked", "seats_remaining"]
    fieldsets = [
        (None, {"fields": ["title", "description", "organizer"]}),
        ("Times (UTC)", {"fields": ["show_time", "start_time", "end_time"]}),
        ("Seats", {"fields": ["capacity", "booked", "seats_remaining"]}),
    ]

    class Media:
        css = {"all": ["event/admin.css"]}

    @admin.display(description="booked", ordering=Cast("seats_remaining", FloatField()) / F("capacity") * -1)
    def booked(self, event: Event) -> SafeString | str:
        return self.get_empty_value_display() if event.pk is None else booked_bar(event)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"organizer": request.user.pk} | super().get_changeform_initial_data(request)

    def save_model(self, request: HttpRequest, event: Event, form: forms.ModelForm, change: bool) -> None:
        """Save only the edited fields: the others may have been changed since the page was opened."""
        event.save(update_fields=form.changed_data if change else None)
