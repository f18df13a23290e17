"""The admin pages for reservations, and the reservations on the admin pages of events and users."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.actions import delete_selected as delete_selected_action
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from event.admin import EventAdmin as PlainEventAdmin
from event.models import Event
from eventmanagement.refusals import Refusal
from eventmanagement.serving.admin import LimitedSearchMixin
from reservation.exceptions import AlreadyReserved
from reservation.models import Reservation, ReservationQuerySet

# How many related rows a page lists. Below them is a link to the full list.
MAX_ROWS = 20


def link_to_page(row: Model, text: object) -> SafeString:
    return format_html(
        '<a href="{}">{}</a>', reverse(admin_urlname(row._meta, SafeString("change")), args=[row.pk]), text
    )


def link_to_list(model: type[Model], text: str, **lookups: int) -> SafeString:
    """Return a link to the model's change list, filtered by these lookups."""
    url = reverse(admin_urlname(model._meta, SafeString("changelist")))
    return format_html('<a href="{}?{}">{}</a>', url, urlencode(lookups), text)


def listed(links: Iterable[tuple[SafeString, datetime]], *more: SafeString) -> SafeString:
    """Return an HTML list of links with their times, followed by more links."""
    items = format_html_join("", "<li>{}, {}</li>", ((link, date_format(time, "j M Y, H:i")) for link, time in links))
    return format_html(
        '<ol class="short-list">{}</ol>{}', items, format_html_join(" · ", "{}", ((link,) for link in more))
    )


class ReservationAdminForm(forms.ModelForm):
    """Books a seat for a user. A refused booking is a form error."""

    def clean(self) -> dict[str, Any]:
        super().clean()
        data = self.cleaned_data
        if not self.errors:
            try:
                self.instance = Reservation.objects.book(user=data["user"], event_id=data["event"].pk)
            except AlreadyReserved:
                raise forms.ValidationError(f"{data['user']} already has a seat at this event.") from None
            except Refusal as refusal:
                raise forms.ValidationError(str(refusal)) from None
            except Event.DoesNotExist:
                raise forms.ValidationError("This event has been deleted.") from None
        return data

    def _post_clean(self) -> None:
        """Do nothing: ``clean`` has already created the reservation."""


@admin.register(Reservation)
class ReservationAdmin(LimitedSearchMixin, admin.ModelAdmin):
    """Books and cancels seats. Unlike in the API, a reservation can be cancelled after the event has started."""

    form = ReservationAdminForm
    list_display = ["user", "event", "event_starts", "created_at"]
    list_select_related = ["event", "user"]
    search_fields = ["event__title", "user__username", "user__email"]
    date_hierarchy = "event__start_time"
    # See EventAdmin.
    show_full_result_count = False
    autocomplete_fields = ["event", "user"]
    actions = ["delete_selected"]

    @admin.display(description="event starts", ordering="event__start_time")
    def event_starts(self, reservation: Reservation) -> datetime:
        return reservation.event.start_time

    # Django's delete action with another label. It keeps its name because the confirmation page submits that name.
    @admin.action(permissions=["delete"], description="Cancel selected %(verbose_name_plural)s")
    def delete_selected(self, request: HttpRequest, reservations: ReservationQuerySet) -> HttpResponse | None:
        return delete_selected_action(self, request, reservations)

    def has_change_permission(self, request: HttpRequest, obj: Reservation | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Reservation | None = None) -> list[Any]:
        return ["event", "user", "created_at"] if obj else ["event", "user"]

    def save_model(self, request: HttpRequest, obj: Reservation, form: forms.ModelForm, change: bool) -> None:
        """Do nothing: the form has already created the reservation."""


admin.site.unregister(Event)


@admin.register(Event)
class EventAdmin(PlainEventAdmin):
    """The event admin, extended with reservations, which the event app does not import."""

    readonly_fields = [*PlainEventAdmin.readonly_fields, "attendees"]

    def get_fieldsets(self, request: HttpRequest, obj: Event | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not request.user.has_perm("reservation.view_reservation"):
            return fieldsets
        return [*fieldsets, ("Reservations", {"fields": ["attendees"]})]

    @admin.display(description="attendees")
    def attendees(self, event: Event) -> SafeString:
        first = event.reservations.select_related("user")[:MAX_ROWS]
        return listed(
            ((link_to_page(reservation, reservation.user), reservation.created_at) for reservation in first),
            link_to_list(Reservation, f"All {event.reserved} reservations", event__id__exact=event.pk),
            format_html(
                '<a href="{}?event={}">Book for a user</a>', reverse("admin:reservation_reservation_add"), event.pk
            ),
        )

    def get_deleted_objects(self, events: Iterable[Event], request: HttpRequest) -> tuple:
        """Show only the number of reservations to be deleted. Django's page would load and list every one of them."""
        described = [format_html("Event: {} (booked: {})", event, event.reserved) for event in events]
        counts = {"events": len(described), "reservations": sum(event.reserved for event in events)}
        may_delete = request.user.has_perm("reservation.delete_reservation") or not counts["reservations"]
        return described, counts, set() if may_delete else {"reservation"}, []


# Extend the user admin that is registered, which may be another app's.
# mypy takes no base class that is known at runtime only.
RegisteredUserAdmin = type(admin.site.get_model_admin(User))
admin.site.unregister(User)


@admin.register(User)
class UserAdmin(LimitedSearchMixin, RegisteredUserAdmin):  # type: ignore[misc, valid-type]
    """The user admin, extended with the events that a user organizes and attends."""

    readonly_fields = ["organizes", "attends"]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        needed = {"organizes": "event.view_event", "attends": "reservation.view_reservation"}
        shown = [field for field, permission in needed.items() if request.user.has_perm(permission)]
        if obj is None or not shown:
            return fieldsets
        account, person, *more = fieldsets
        return [account, person, ("Events", {"fields": shown}), *more]

    def get_deleted_objects(self, users: Any, request: HttpRequest) -> tuple:
        """Add the number of reservations to be cancelled. Django's page does not know them (DO_NOTHING)."""
        described, counts, missing, protected = super().get_deleted_objects(users, request)
        cancelled = Reservation.objects.filter(user__in=[user.pk for user in users]).count()
        if cancelled:
            described = [*described, f"Reservations to be cancelled: {cancelled}"]
            counts = counts | {str(Reservation._meta.verbose_name_plural): cancelled}
            if not request.user.has_perm("reservation.delete_reservation"):
                missing = missing | {str(Reservation._meta.verbose_name)}
        return described, counts, missing, protected

    @admin.display(description="organizes")
    def organizes(self, user: User) -> SafeString:
        latest = user.organized_events.order_by("-start_time", "-id")[:MAX_ROWS]
        return listed(
            ((link_to_page(event, event), event.start_time) for event in latest),
            link_to_list(Event, f"All {user.organized_events.count()} events", organizer__id__exact=user.pk),
        )

    @admin.display(description="attends")
    def attends(self, user: User) -> SafeString:
        latest = user.reservations.select_related("event").order_by("-event__start_time", "-id")[:MAX_ROWS]
        return listed(
            ((link_to_page(reservation, reservation.event), reservation.event.start_time) for reservation in latest),
            link_to_list(Reservation, f"All {user.reservations.count()} reservations", user__id__exact=user.pk),
        )
