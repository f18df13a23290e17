"""The admin pages for events."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers, widgets
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import model_ngettext
from django.core.exceptions import PermissionDenied
from django.db.models import F, FloatField, QuerySet
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from event.exceptions import CapacityBelowReserved
from event.models import MAX_REASON_LENGTH, NOT_STARTED, Event, EventQuerySet
from eventmanagement.serving.admin import MAX_SELECTED, ModelAdmin, all_or_none, shortened
from eventmanagement.text_fields import NormalizedFormField, validate_text

CONSTRAINT_MESSAGES = {each.name: str(each.violation_error_message) for each in Event._meta.constraints}


# Shown in lists after an event.
CALLED_OFF = SafeString(' <strong class="called-off">called off</strong>')
SOLD_OUT = SafeString(" <strong>sold out</strong>")


def booked_bar(event: Event) -> SafeString:
    """Return a progress bar of the booked seats, followed by the numbers, and by "sold out" or "called off"."""
    mark = CALLED_OFF if event.is_cancelled else SOLD_OUT if not event.seats_remaining else ""
    return format_html(
        '<progress max="{}" value="{}"></progress> {} of {}{}',
        event.capacity,
        event.reserved,
        event.reserved,
        event.capacity,
        mark,
    )


def event_label(event: Event) -> str:
    """Return the title and the start, because several events can have the same title, and whether it was called off."""
    return f"{event.title}, {date_format(event.start_time, 'DATETIME_FORMAT')}{called_off_text(event)}"


def called_off_text(event: Event) -> str:
    return " (called off)" if event.is_cancelled else ""


def waiting_text(event: Event) -> str:
    """Return the number of people who wait, for a list in brackets, or nothing if nobody waits."""
    return f", waiting: {event.waiting}" if event.waiting else ""


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


class CallOffForm(forms.Form):
    reason = NormalizedFormField(
        required=False,
        max_length=MAX_REASON_LENGTH,
        validators=[validate_text],
        widget=widgets.AdminTextareaWidget(attrs={"rows": 4}),
        help_text=f"Optional, {MAX_REASON_LENGTH:,} characters at most. Everybody can read it.",
    )


def call_off(model_admin: ModelAdmin, request: HttpRequest, selected: EventQuerySet) -> HttpResponse | None:
    """Call the selected events off, at most MAX_SELECTED, after a page that asks for the reason.

    Calls off all of them in one transaction, or none. Events that were called off before keep their time and reason.
    Returns None if there is nothing more to ask.
    """
    not_called_off = selected.not_called_off()
    ids = list(not_called_off.values_list("pk", flat=True)[: MAX_SELECTED + 1])
    if not ids:
        model_admin.message_user(request, "Nothing has been changed: already called off.", messages.WARNING)
        return None
    is_cut = len(ids) > MAX_SELECTED
    events = not_called_off.filter(pk__in=ids[:MAX_SELECTED])
    is_confirmed = bool(request.POST.get("post")) and not is_cut
    form = CallOffForm(request.POST if is_confirmed else None)
    if is_confirmed and form.is_valid():
        return call_off_events(model_admin, request, ids, form.cleaned_data["reason"])
    request.current_app = model_admin.admin_site.name
    described = [
        format_html("{} (booked: {}{})", event_label(event), event.reserved, waiting_text(event)) for event in events
    ]
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Call off events" if len(ids) > 1 else "Call off event",
        "form": form,
        "described": shortened(described),
        "objects_name": model_ngettext(events),
        "queryset": events,
        "total": not_called_off.count() if is_cut else None,
        "opts": model_admin.opts,
        "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        "media": model_admin.media,
    }
    return TemplateResponse(request, "admin/event/event/call_off.html", context)


def call_off_events(model_admin: ModelAdmin, request: HttpRequest, ids: list[int], reason: str) -> HttpResponse | None:
    """Call off and log these events, or none of them, and show the result as a message."""
    called_off: list[Event] = []

    def change() -> None:
        called_off.extend(Event.objects.filter(pk__in=Event.objects.cancel(ids, reason)))
        user_id = request.user.pk
        LogEntry.objects.log_actions(user_id, called_off, CHANGE, "Called off.")  # type: ignore[arg-type]  # A list will do.

    if failure := all_or_none(model_admin, request, change):
        return failure
    count = len(called_off)
    message = f"Called off {count} {model_ngettext(model_admin.opts, count)}."
    model_admin.message_user(request, message, messages.SUCCESS if count else messages.WARNING)
    return None


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


class CancelledFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "cancelled"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("false", "Takes place"), ("true", "Called off")]

    # The list of events is an EventQuerySet.
    def queryset(self, request: HttpRequest, events: EventQuerySet) -> EventQuerySet:  # type: ignore[override]
        match self.value():
            case "false":
                return events.not_called_off()
            case "true":
                return events.called_off()
        return events


@admin.register(Event)
class EventAdmin(ModelAdmin):
    form = EventAdminForm
    list_display = ["title", "start_time", "booked", "people_waiting", "organizer"]
    list_select_related = ["organizer"]
    list_filter = [SeatsFilter, StartFilter, CancelledFilter]
    search_fields = ["title", "description", "organizer__username"]
    date_hierarchy = "start_time"
    linked_lookups = ["organizer__id__exact"]
    # The full count would need a second COUNT query over the whole table.
    show_full_result_count = False
    autocomplete_fields = ["organizer"]
    readonly_fields = ["booked", "seats_remaining", "people_waiting", "cancelled_at", "cancellation_reason"]
    actions = ["call_off"]
    fieldsets = [
        (None, {"fields": ["title", "description", "organizer"]}),
        ("Times", {"fields": ["show_time", "start_time", "end_time"]}),
        ("Seats", {"fields": ["capacity", "booked", "seats_remaining", "people_waiting"]}),
    ]
    called_off_fieldset = (
        "Called off",
        {"fields": ["cancelled_at", "cancellation_reason"], "classes": ["called-off"]},
    )

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

    def get_fieldsets(self, request: HttpRequest, obj: Event | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return [self.called_off_fieldset, *fieldsets] if obj and obj.is_cancelled else fieldsets

    @admin.action(permissions=["change"], description="Call off selected %(verbose_name_plural)s")
    def call_off(self, request: HttpRequest, events: EventQuerySet) -> HttpResponse | None:
        return call_off(self, request, events)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.call_off_view)
        return [path("<int:event_id>/call-off/", view, name="event_event_call_off"), *super().get_urls()]

    def call_off_view(self, request: HttpRequest, event_id: int) -> HttpResponse:
        """Call one event off, after a page that asks for the reason."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        get_object_or_404(Event, pk=event_id)
        done = HttpResponseRedirect(reverse("admin:event_event_change", args=[event_id]))
        return call_off(self, request, Event.objects.filter(pk=event_id)) or done

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"organizer": request.user.pk} | super().get_changeform_initial_data(request)

    def save_model(self, request: HttpRequest, event: Event, form: forms.ModelForm, change: bool) -> None:
        """Save only the edited fields: the others may have been changed since the page was opened."""
        event.save(update_fields=form.changed_data if change else None)
