"""The admin pages for reservations, and the reservations on the admin pages of events and users."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from event.admin import EventAdmin as PlainEventAdmin
from event.admin import event_label
from event.models import Event
from eventmanagement.refusals import Refusal
from eventmanagement.serving.admin import ModelAdmin, delete_selected
from reservation.exceptions import AlreadyReserved
from reservation.models import Reservation, ReservationQuerySet, WaitlistEntry
from reservation.signals import lock_users

# How many related rows a page lists. Below them is a link to the full list.
MAX_ROWS = 20
# Entries of the history per INSERT statement.
BATCH_SIZE = 1000


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    return admin.site.get_model_admin(model).has_view_permission(request)


def page_url(row: Model) -> str:
    return reverse(admin_urlname(row._meta, SafeString("change")), args=[row.pk])


def link_to_page(row: Model, text: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', page_url(row), text)


def link_to_list(model: type[Model], text: str, **lookups: int) -> SafeString:
    """Return a link to the model's change list, filtered by these lookups."""
    url = reverse(admin_urlname(model._meta, SafeString("changelist")))
    return format_html('<a href="{}?{}">{}</a>', url, urlencode(lookups), text)


def listed(links: Iterable[tuple[SafeString, datetime]], *more: SafeString) -> SafeString:
    """Return an HTML list of links with their times, followed by more links."""
    items = format_html_join(
        "", "<li>{}, {}</li>", ((link, date_format(time, "DATETIME_FORMAT")) for link, time in links)
    )
    return format_html(
        '<ol class="short-list">{}</ol>{}', items, format_html_join(" · ", "{}", ((link,) for link in more))
    )


def log_on_events(request: HttpRequest, reservations: Iterable[Reservation], action: str) -> None:
    """Add an entry to the admin history of the event of each reservation, for example "Booked a seat for bob."."""
    event_type = ContentType.objects.get_for_model(Event)
    entries = (
        LogEntry(
            user_id=request.user.pk,  # type: ignore[misc]  # Never None: the admin rejects anonymous users.
            content_type=event_type,
            object_id=reservation.event_id,
            object_repr=str(reservation.event)[:200],
            action_flag=CHANGE,
            change_message=f"{action} {reservation.user}.",
        )
        for reservation in reservations
    )
    LogEntry.objects.bulk_create(entries, batch_size=BATCH_SIZE)


class ReservationAdminForm(forms.ModelForm):
    """Books a seat for a user. A refused booking is an error of the event or of the user."""

    def clean(self) -> dict[str, Any]:
        super().clean()
        data = self.cleaned_data
        if not self.errors:
            try:
                self.instance = Reservation.objects.book(user=data["user"], event_id=data["event"].pk)
            except AlreadyReserved:
                self.add_error("user", f"{data['user']} already has a seat at this event.")
            except Refusal as refusal:
                self.add_error("event", str(refusal))
            except Event.DoesNotExist:
                self.add_error("event", "This event has been deleted.")
        return data

    def _post_clean(self) -> None:
        """Do nothing: ``clean`` has already created the reservation."""


@admin.register(Reservation)
class ReservationAdmin(ModelAdmin):
    """Books and cancels seats. Unlike in the API, a reservation can be cancelled after the event has started."""

    form = ReservationAdminForm
    list_display = ["user", "event", "event_starts", "created_at"]
    list_select_related = ["event", "user"]
    search_fields = ["event__title", "user__username", "user__email"]
    date_hierarchy = "event__start_time"
    linked_lookups = ["event__id__exact", "user__id__exact"]
    # See EventAdmin.
    show_full_result_count = False
    autocomplete_fields = ["event", "user"]
    readonly_fields = ["event_starts"]
    actions = ["delete_selected"]
    delete_verb = "cancel"
    delete_participle = "cancelled"

    @admin.display(description="event starts", ordering="event__start_time")
    def event_starts(self, reservation: Reservation) -> datetime:
        return reservation.event.start_time

    def label(self, reservation: Reservation) -> str:
        return f"{reservation.user} at {event_label(reservation.event)}"

    # The label differs from the base class. The name does not, because the confirmation page submits it.
    @admin.action(permissions=["delete"], description="Cancel selected %(verbose_name_plural)s")
    def delete_selected(self, request: HttpRequest, reservations: ReservationQuerySet) -> HttpResponse | None:
        return delete_selected(self, request, reservations)

    def has_change_permission(self, request: HttpRequest, obj: Reservation | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Reservation | None = None) -> list[Any]:
        return ["event", "event_starts", "user", "created_at"] if obj else ["event", "user"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # The template has a link "Cancel reservation" instead of "Delete".
        return super().change_view(request, object_id, form_url, {"show_delete": False} | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: Reservation, form: forms.ModelForm, change: bool) -> None:
        """Do nothing: the form has already created the reservation."""

    def log_addition(self, request: HttpRequest, reservation: Reservation, message: Any) -> LogEntry:
        log_on_events(request, [reservation], "Booked a seat for")
        return super().log_addition(request, reservation, message)

    def response_post_save_add(self, request: HttpRequest, reservation: Reservation) -> HttpResponseRedirect:
        """Return to the page of the event if the link to book was there."""
        if request.GET.get("event") == str(reservation.event_id) and may_view(request, Event):
            return HttpResponseRedirect(page_url(reservation.event))
        return super().response_post_save_add(request, reservation)

    def get_deleted_objects(self, reservations: Any, request: HttpRequest) -> tuple:
        """Describe the reservations, which have no related rows."""
        described = [link_to_page(each, self.label(each)) for each in reservations]
        missing = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        return described, {self.opts.verbose_name_plural: len(described)}, missing, []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().delete_view(request, object_id, {"title": "Cancel reservation"} | (extra_context or {}))

    def log_deletions(self, request: HttpRequest, reservations: Iterable[Reservation]) -> Any:
        log_on_events(request, reservations, "Cancelled the seat of")
        user_id = request.user.pk
        return LogEntry.objects.log_actions(user_id, reservations, DELETION, "Cancelled.")  # type: ignore[arg-type]  # As above.

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        self.message_user(request, f"The reservation “{obj_display}” was cancelled.", messages.SUCCESS)
        listed = "admin:reservation_reservation_changelist" if may_view(request, Reservation) else "admin:index"
        return HttpResponseRedirect(reverse(listed))


admin.site.unregister(Event)


@admin.register(Event)
class EventAdmin(PlainEventAdmin):
    """The event admin, extended with reservations, which the event app does not import."""

    readonly_fields = [*PlainEventAdmin.readonly_fields, "attendees", "new_reservation"]

    def get_fieldsets(self, request: HttpRequest, obj: Event | None = None) -> Any:
        """Show the attendees to users who may view reservations, and the link to book to users who may add them."""
        fieldsets = super().get_fieldsets(request, obj)
        needed = {"attendees": "reservation.view_reservation", "new_reservation": "reservation.add_reservation"}
        shown = [field for field, permission in needed.items() if request.user.has_perm(permission)]
        return [*fieldsets, ("Reservations", {"fields": shown})] if obj and shown else fieldsets

    @admin.display(description="attendees")
    def attendees(self, event: Event) -> SafeString:
        first = event.reservations.select_related("user")[:MAX_ROWS]
        return listed(
            ((link_to_page(reservation, reservation.user), reservation.created_at) for reservation in first),
            link_to_list(Reservation, f"All {event.reserved} reservations", event__id__exact=event.pk),
        )

    @admin.display(description="new reservation")
    def new_reservation(self, event: Event) -> SafeString:
        url = reverse("admin:reservation_reservation_add")
        return format_html('<a href="{}?event={}">Book for a user</a>', url, event.pk)

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
class UserAdmin(RegisteredUserAdmin):  # type: ignore[misc, valid-type]
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

    def log_deletions(self, request: HttpRequest, users: Iterable[User]) -> Any:
        reservations = Reservation.objects.filter(user__in=[user.pk for user in users]).select_related("event", "user")
        log_on_events(request, reservations, "Deleted the account and cancelled the seat of")
        return super().log_deletions(request, users)

    def delete_queryset(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """Cancel all reservations first. Cancelled user by user, many for the same event would take quadratic time."""
        ids = [user.pk for user in users]
        lock_users(User.objects.filter(pk__in=ids))
        # The places first, so that no freed seat goes to a user who is deleted too.
        WaitlistEntry.objects.filter(user__in=ids).delete()
        Reservation.objects.filter(user__in=ids).delete()
        User.objects.filter(pk__in=ids).delete()

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
