"""The admin pages for reservations and waiting lists, and both on the admin pages of events and users."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.contrib.admin.utils import model_ngettext
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from event.admin import CALLED_OFF, called_off_text, event_label, waiting_text
from event.admin import EventAdmin as PlainEventAdmin
from event.models import Event
from event.signals import Promotion
from eventmanagement.refusals import Refusal
from eventmanagement.serving.admin import MAX_SELECTED, ChangeList, ModelAdmin, all_or_none, delete_selected
from reservation import door
from reservation.booking import batches
from reservation.exceptions import AlreadyReserved, AlreadyWaiting
from reservation.exports import attendees_csv
from reservation.models import Reservation, ReservationQuerySet, WaitlistEntry, WaitlistQuerySet
from reservation.signals import lock_users
from reservation.waitlist import collect_promotions, set_positions

# How many related rows a page lists. Below them is a link to the full list.
MAX_ROWS = 20
# Entries of the history per INSERT statement.
BATCH_SIZE = 1000
# How many of the people who got a seat a message names.
MAX_NAMES = 20


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    return admin.site.get_model_admin(model).has_view_permission(request)


def page_url(row: Model) -> str:
    return reverse(admin_urlname(row._meta, SafeString("change")), args=[row.pk])


def link_to_page(row: Model, text: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', page_url(row), text)


def link_to_event(row: Event | Reservation, event: Event) -> SafeString:
    """Return a link to the row's page with the title of its event, and whether the event was called off."""
    return link_to_page(row, f"{event}{called_off_text(event)}")


def link_to_list(model: type[Model], text: str, **lookups: int | str) -> SafeString:
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


def not_deletable(request: HttpRequest, numbers: Mapping[Any, int]) -> set[str]:
    """Return the names of the models whose rows would be deleted, but which the user may not delete."""
    return {
        str(model._meta.verbose_name)
        for model, number in numbers.items()
        if number and not request.user.has_perm(f"{model._meta.app_label}.delete_{model._meta.model_name}")
    }


def log_on_events(request: HttpRequest, rows: Iterable[Reservation | WaitlistEntry], action: str) -> None:
    """Add an entry to the admin history of the event of each reservation or place.

    For example "Booked a seat for bob.".
    """
    add_to_histories(request, ((row.event, f"{action} {row.user}.") for row in rows))


def add_to_histories(request: HttpRequest, changes: Iterable[tuple[Event, str]]) -> None:
    """Add each message to the admin history of its event."""
    event_type = ContentType.objects.get_for_model(Event)
    entries = (
        LogEntry(
            user_id=request.user.pk,  # type: ignore[misc]  # Never None: the admin rejects anonymous users.
            content_type=event_type,
            object_id=event.pk,
            object_repr=str(event)[:200],
            action_flag=CHANGE,
            change_message=message,
        )
        for event, message in changes
    )
    LogEntry.objects.bulk_create(entries, batch_size=BATCH_SIZE)


class PromotionsMixin(ModelAdmin):
    """For admin pages whose changes may free seats. Shows who got these seats from the waiting lists.

    The names are in a message, and in the admin history of each event.
    """

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        with self.reported_promotions(request):
            super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with self.reported_promotions(request):
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with self.reported_promotions(request):
            super().delete_queryset(request, queryset)

    @contextmanager
    def reported_promotions(self, request: HttpRequest) -> Iterator[None]:
        """Show and log the promotions of the block. It must run in the same transaction as the whole change."""
        with collect_promotions() as promotions:
            yield
        if promotions:
            message = log_promotions(request, promotions)
            # Not before the commit, because the change may still fail.
            transaction.on_commit(partial(self.message_user, request, message, messages.SUCCESS))


def log_promotions(request: HttpRequest, promotions: Mapping[int, Sequence[Promotion]]) -> str:
    """Add the promotions to the admin history of each event, by its id. Returns a message about all of them."""
    first = [promotion.reservation for promoted in promotions.values() for promotion in promoted[:MAX_NAMES]]
    named = [
        reservation
        for ids in batches(first)
        for reservation in Reservation.objects.filter(pk__in=ids).select_related("event", "user")
    ]
    names: dict[Event, list[str]] = {}
    for reservation in named:
        names.setdefault(reservation.event, []).append(str(reservation.user))
    add_to_histories(request, ((event, got_seats(some, len(promotions[event.pk]))) for event, some in names.items()))
    labels = [str(each.user) if len(promotions) == 1 else f"{each.user} ({each.event})" for each in named[:MAX_NAMES]]
    return got_seats(labels, sum(map(len, promotions.values())))


def got_seats(names: Sequence[str], number: int) -> str:
    """Return a sentence about the people who got seats. ``number`` includes people who are not named.

    It does not begin with a username, because Django capitalizes the first letter of a message.
    """
    if number == 1:
        return f"The seat went to {names[0]} from the waiting list."
    rest = number - len(names)
    first, last = (names, f"{rest} more") if rest else (names[:-1], names[-1])
    return f"Seats went to {', '.join(first)} and {last} from the waiting list."


class ReservationAdminForm(forms.ModelForm):
    """Books a seat for a user. A refused booking is an error of the event or of the user."""

    def create(self, user: User, event_id: int) -> Reservation | WaitlistEntry:
        return Reservation.objects.book(user=user, event_id=event_id)

    def clean(self) -> dict[str, Any]:
        super().clean()
        data = self.cleaned_data
        if not self.errors:
            try:
                self.instance = self.create(data["user"], data["event"].pk)
            except AlreadyReserved:
                self.add_error("user", f"{data['user']} already has a seat at this event.")
            except AlreadyWaiting:
                self.add_error("user", f"{data['user']} is already on the waiting list of this event.")
            except Refusal as refusal:
                self.add_error("event", str(refusal))
            except Event.DoesNotExist:
                self.add_error("event", "This event has been deleted.")
        return data

    def _post_clean(self) -> None:
        """Do nothing: ``clean`` has already created the row."""


class WaitlistEntryAdminForm(ReservationAdminForm):
    """Adds a user to a waiting list. A refusal is an error of the event or of the user."""

    def create(self, user: User, event_id: int) -> WaitlistEntry:
        return WaitlistEntry.objects.join(user=user, event_id=event_id)


class SeatAdmin(ModelAdmin):
    """The base class for reservations and for places on waiting lists. They are created and deleted, never changed."""

    list_select_related = ["event", "user"]
    search_fields = ["event__title", "user__username", "user__email"]
    date_hierarchy = "event__start_time"
    linked_lookups = ["event__id__exact", "user__id__exact"]
    # See EventAdmin.
    show_full_result_count = False
    autocomplete_fields = ["event", "user"]
    actions = ["delete_selected"]
    # The title of the page that deletes a row, and the text of the link to it.
    delete_title: str
    # What the page of a row shows besides the event and the user.
    shown_fields: Sequence[str]
    # Entries of the history: two of the event, before the username, and one of the deleted row.
    creation_entry: str
    deletion_entry: str
    deleted_entry: str

    class Media:
        css = {"all": ["event/admin.css"]}

    @admin.display(description="event starts", ordering="event__start_time")
    def event_starts(self, row: Reservation | WaitlistEntry) -> SafeString:
        # Django would not format a plain datetime on the page of a row, only in the list.
        start = date_format(row.event.start_time, "DATETIME_FORMAT")
        return format_html("{}{}", start, CALLED_OFF if row.event.is_cancelled else "")

    def deletion_question(self, row: Any) -> str:
        """Return the question on the page that deletes a row."""
        raise NotImplementedError

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["event", "event_starts", "user", *self.shown_fields] if obj else ["event", "user"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # The template has a link with delete_title instead of "Delete".
        context = {"show_delete": False, "delete_title": self.delete_title}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        """Do nothing: the form has already created the row."""

    def log_addition(self, request: HttpRequest, row: Any, message: Any) -> LogEntry:
        log_on_events(request, [row], self.creation_entry)
        return super().log_addition(request, row, message)

    def response_post_save_add(self, request: HttpRequest, row: Any) -> HttpResponseRedirect:
        """Return to the page of the event if the link to this form was there."""
        if request.GET.get("event") == str(row.event_id) and may_view(request, Event):
            return HttpResponseRedirect(page_url(row.event))
        return super().response_post_save_add(request, row)

    def get_deleted_objects(self, rows: Any, request: HttpRequest) -> tuple:
        """Describe the rows, which have no related rows."""
        described = [link_to_page(each, self.label(each)) for each in rows]
        missing = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        return described, {self.opts.verbose_name_plural: len(described)}, missing, []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": self.delete_title, "verb": self.delete_verb}
        return super().delete_view(request, object_id, context | (extra_context or {}))

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        return super().render_delete_form(request, context | {"question": self.deletion_question(context["object"])})

    def log_deletions(self, request: HttpRequest, rows: Iterable[Any]) -> Any:
        log_on_events(request, rows, self.deletion_entry)
        user_id = request.user.pk
        return LogEntry.objects.log_actions(user_id, rows, DELETION, self.deleted_entry)  # type: ignore[arg-type]  # As above.

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        message = f"The {self.opts.verbose_name} “{obj_display}” was {self.delete_participle}."
        self.message_user(request, message, messages.SUCCESS)
        shown = self.has_view_permission(request)
        return HttpResponseRedirect(
            reverse(admin_urlname(self.opts, SafeString("changelist")) if shown else "admin:index")
        )


class CheckedInFilter(admin.SimpleListFilter):
    title = "checked in"
    parameter_name = "checked_in"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("true", "Yes"), ("false", "No")]

    # The list of reservations is a ReservationQuerySet.
    def queryset(  # type: ignore[override]
        self, request: HttpRequest, reservations: ReservationQuerySet
    ) -> ReservationQuerySet:
        match self.value():
            case "true":
                return reservations.checked_in()
            case "false":
                return reservations.not_checked_in()
        return reservations


@admin.register(Reservation)
class ReservationAdmin(PromotionsMixin, SeatAdmin):
    """Books and cancels seats, and checks people in.

    Unlike in the API, a reservation can be cancelled after the event has started, or while it is checked in.
    """

    form = ReservationAdminForm
    # The first three columns fit on a phone, which is used at the door.
    list_display = ["user", "event", "checked_in_at", "event_starts", "created_at"]
    list_filter = [CheckedInFilter]
    actions = ["delete_selected", "check_in", "undo_check_in"]
    readonly_fields = ["event_starts"]
    shown_fields = ["created_at", "from_waitlist", "checked_in_at"]
    delete_verb = "cancel"
    delete_participle = "cancelled"
    delete_title = "Cancel reservation"
    creation_entry = "Booked a seat for"
    deletion_entry = "Cancelled the seat of"
    deleted_entry = "Cancelled."

    def label(self, reservation: Reservation) -> str:
        return f"{reservation.user} at {event_label(reservation.event)}"

    def deletion_question(self, reservation: Reservation) -> str:
        event = Event.objects.filter(pk=reservation.event_id)
        if event.upcoming().filter(waiting__gt=0).exists():
            result = "The first person on the waiting list gets the seat."
        elif event.not_started().not_called_off().exists():
            result = "The seat can then be booked again."
        else:
            result = "The seat stays free, because the event takes no more bookings."
        return f"Do you want to cancel this reservation? {result}"

    # The label differs from the base class. The name does not, because the confirmation page submits it.
    @admin.action(permissions=["delete"], description="Cancel selected %(verbose_name_plural)s")
    def delete_selected(self, request: HttpRequest, reservations: ReservationQuerySet) -> HttpResponse | None:
        return delete_selected(self, request, reservations)

    @admin.action(permissions=["check_in"], description="Check in selected %(verbose_name_plural)s")
    def check_in(self, request: HttpRequest, reservations: ReservationQuerySet) -> HttpResponse | None:
        obstacle = "already checked in, or the event was called off"
        return self.change_check_ins(request, reservations, door.check_in_all, "Checked in", "checked in", obstacle)

    @admin.action(permissions=["check_in"], description="Undo the check-in of selected %(verbose_name_plural)s")
    def undo_check_in(self, request: HttpRequest, reservations: ReservationQuerySet) -> HttpResponse | None:
        action, state = "Undid the check-in of", "not checked in"
        return self.change_check_ins(request, reservations, door.undo_all, action, state, "they were not checked in")

    def has_check_in_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reservation.change_reservation")

    def change_check_ins(
        self,
        request: HttpRequest,
        selected: ReservationQuerySet,
        change: Callable[[ReservationQuerySet], list[int]],
        action: str,
        state: str,
        obstacle: str,
    ) -> HttpResponse | None:
        """Change and log the check-ins of the selected reservations, at most MAX_SELECTED: all of them, or none.

        ``obstacle`` says why some of them may be unchanged.
        """
        ids = list(selected.values_list("pk", flat=True)[: MAX_SELECTED + 1])
        if len(ids) > MAX_SELECTED:
            self.message_user(request, f"Select at most {MAX_SELECTED} reservations.", messages.ERROR)
            return None
        changed: list[Reservation] = []

        def change_and_log() -> None:
            rows = Reservation.objects.filter(pk__in=change(Reservation.objects.filter(pk__in=ids)))
            changed.extend(rows.select_related("event", "user"))
            log_on_events(request, changed, action)
            user_id = request.user.pk
            LogEntry.objects.log_actions(user_id, changed, CHANGE, f"Now {state}.")  # type: ignore[arg-type]  # As below.

        if failure := all_or_none(self, request, change_and_log):
            return failure
        count, rest = len(changed), len(ids) - len(changed)
        message = f"{count} {model_ngettext(self.opts, count)} now {state}."
        if rest:
            message += f" {rest} unchanged: {obstacle}."
        self.message_user(request, message, messages.SUCCESS if count else messages.WARNING)
        return None


class UpcomingFilter(admin.SimpleListFilter):
    title = "event"
    parameter_name = "when"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("upcoming", "Not over"), ("over", "Over")]

    def queryset(self, request: HttpRequest, places: QuerySet[WaitlistEntry]) -> QuerySet[WaitlistEntry]:
        match self.value():
            case "upcoming":
                return places.filter(event__end_time__gt=Now())
            case "over":
                return places.filter(event__end_time__lte=Now())
        return places


class WaitlistChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        set_positions(self.result_list)


@admin.register(WaitlistEntry)
class WaitlistEntryAdmin(SeatAdmin):
    """Adds users to waiting lists, and removes them. The rules for joining are those of the API."""

    form = WaitlistEntryAdminForm
    list_display = ["user", "event", "position", "event_starts", "created_at"]
    list_filter = [UpcomingFilter]
    readonly_fields = ["event_starts", "position"]
    shown_fields = ["position", "created_at"]
    delete_verb = "remove"
    delete_participle = "removed"
    delete_title = "Remove from the waiting list"
    creation_entry = "Added to the waiting list:"
    deletion_entry = "Removed from the waiting list:"
    deleted_entry = "Removed."

    @admin.display(description="position")
    def position(self, place: WaitlistEntry) -> int:
        return place.position

    def label(self, place: WaitlistEntry) -> str:
        return f"{place.user} waits for {event_label(place.event)}"

    def deletion_question(self, place: WaitlistEntry) -> str:
        return "Do you want to remove this user from the waiting list? The people behind move up."

    # As for reservations.
    @admin.action(permissions=["delete"], description="Remove selected %(verbose_name_plural)s")
    def delete_selected(self, request: HttpRequest, places: WaitlistQuerySet) -> HttpResponse | None:
        return delete_selected(self, request, places)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return WaitlistChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> WaitlistEntry | None:
        place: WaitlistEntry | None = super().get_object(request, object_id, from_field)
        if place:
            set_positions([place])
        return place


admin.site.unregister(Event)


@admin.register(Event)
class EventAdmin(PromotionsMixin, PlainEventAdmin):
    """The event admin, extended with reservations and the waiting list, which the event app does not import."""

    readonly_fields = [
        *PlainEventAdmin.readonly_fields,
        "attendees",
        "checked_in",
        "new_reservation",
        "waiting_people",
        "new_place",
    ]

    def get_urls(self) -> list[URLPattern]:
        download = self.admin_site.download_view(self.download_attendees)
        name = "event_event_attendees"
        return [path("<int:event_id>/attendees.csv", download, name=name), *super().get_urls()]

    def download_attendees(self, request: HttpRequest, event_id: int) -> HttpResponseBase:
        """Return the attendees as a CSV file, for users who may view events and reservations."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not (may_view(request, Event) and may_view(request, Reservation)):
            raise PermissionDenied
        event = get_object_or_404(Event, pk=event_id)
        return attendees_csv(event, Reservation.objects.filter(event=event))

    def get_fieldsets(self, request: HttpRequest, obj: Event | None = None) -> Any:
        """Show the attendees to users who may view reservations, and the link to book to users who may add them.

        If the event is full, show the waiting list in the same way.
        """
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        needed = {
            "Reservations": {
                "attendees": "reservation.view_reservation",
                "checked_in": "reservation.view_reservation",
                "new_reservation": "reservation.add_reservation",
            }
        }
        if obj.is_cancelled:
            del needed["Reservations"]["new_reservation"]
        elif not obj.seats_remaining:
            needed["Waiting list"] = {
                "waiting_people": "reservation.view_waitlistentry",
                "new_place": "reservation.add_waitlistentry",
            }
        sections = (
            (title, [field for field, permission in fields.items() if request.user.has_perm(permission)])
            for title, fields in needed.items()
        )
        return [*fieldsets, *((title, {"fields": shown}) for title, shown in sections if shown)]

    @admin.display(description="attendees")
    def attendees(self, event: Event) -> SafeString:
        first = event.reservations.select_related("user")[:MAX_ROWS]
        return listed(
            ((link_to_page(reservation, reservation.user), reservation.created_at) for reservation in first),
            link_to_list(Reservation, f"All {event.reserved} reservations", event__id__exact=event.pk),
            format_html('<a href="{}">Download as CSV</a>', reverse("admin:event_event_attendees", args=[event.pk])),
        )

    @admin.display(description="checked in")
    def checked_in(self, event: Event) -> SafeString:
        count = event.reservations.checked_in().count()
        return link_to_list(Reservation, f"{count} of {event.reserved}", event__id__exact=event.pk, checked_in="true")

    @admin.display(description="new reservation")
    def new_reservation(self, event: Event) -> SafeString:
        url = reverse("admin:reservation_reservation_add")
        return format_html('<a href="{}?event={}">Book for a user</a>', url, event.pk)

    @admin.display(description="people, in order")
    def waiting_people(self, event: Event) -> SafeString:
        first = event.waitlist.select_related("user")[:MAX_ROWS]
        return listed(
            ((link_to_page(place, place.user), place.created_at) for place in first),
            link_to_list(WaitlistEntry, f"All {event.waiting} people", event__id__exact=event.pk),
        )

    @admin.display(description="new place")
    def new_place(self, event: Event) -> SafeString:
        url = reverse("admin:reservation_waitlistentry_add")
        return format_html('<a href="{}?event={}">Add a user to the waiting list</a>', url, event.pk)

    def get_deleted_objects(self, events: Iterable[Event], request: HttpRequest) -> tuple:
        """Show only the number of rows to be deleted. Django's page would load and list every one of them."""
        described = [
            format_html("Event: {} (booked: {}{})", event, event.reserved, waiting_text(event)) for event in events
        ]
        deleted = {
            Reservation: sum(event.reserved for event in events),
            WaitlistEntry: sum(event.waiting for event in events),
        }
        counts = {str(model._meta.verbose_name_plural): number for model, number in deleted.items()}
        return described, {"events": len(described)} | counts, not_deletable(request, deleted), []


# Extend the user admin that is registered, which may be another app's.
# mypy takes no base class that is known at runtime only.
RegisteredUserAdmin = type(admin.site.get_model_admin(User))
admin.site.unregister(User)


@admin.register(User)
class UserAdmin(PromotionsMixin, RegisteredUserAdmin):  # type: ignore[misc, valid-type]
    """The user admin, extended with the events that a user organizes, attends and waits for."""

    readonly_fields = ["organizes", "attends", "waits_for"]

    class Media:
        css = {"all": ["event/admin.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        needed = {
            "organizes": "event.view_event",
            "attends": "reservation.view_reservation",
            "waits_for": "reservation.view_waitlistentry",
        }
        shown = [field for field, permission in needed.items() if request.user.has_perm(permission)]
        if obj is None or not shown:
            return fieldsets
        account, person, *more = fieldsets
        return [account, person, ("Events", {"fields": shown}), *more]

    def get_deleted_objects(self, users: Any, request: HttpRequest) -> tuple:
        """Add the number of reservations and places. Django's page does not know them (DO_NOTHING)."""
        described, counts, missing, protected = super().get_deleted_objects(users, request)
        ids = [user.pk for user in users]
        deleted = {
            Reservation: Reservation.objects.filter(user__in=ids).count(),
            WaitlistEntry: WaitlistEntry.objects.filter(user__in=ids).count(),
        }
        participles = {Reservation: "cancelled", WaitlistEntry: "removed"}
        for model, number in deleted.items():
            if number:
                name = str(model._meta.verbose_name_plural)
                described = [*described, f"{name} to be {participles[model]}: {number}".capitalize()]
                counts = counts | {name: number}
        return described, counts, missing | not_deletable(request, deleted), protected

    def log_deletions(self, request: HttpRequest, users: Any) -> Any:
        reservations, places = (
            model.objects.filter(user__in=[user.pk for user in users]).select_related("event", "user")
            for model in (Reservation, WaitlistEntry)
        )
        log_on_events(request, reservations, "Deleted the account and cancelled the seat of")
        log_on_events(request, places, "Deleted the account and removed from the waiting list:")
        return super().log_deletions(request, users)

    def delete_queryset(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """Cancel all reservations first. Cancelled user by user, many for the same event would take quadratic time."""
        ids = [user.pk for user in users]
        with self.reported_promotions(request):
            lock_users(User.objects.filter(pk__in=ids))
            # The places first, so that no freed seat goes to a user who is deleted too.
            WaitlistEntry.objects.filter(user__in=ids).delete()
            Reservation.objects.filter(user__in=ids).delete()
            User.objects.filter(pk__in=ids).delete()

    @admin.display(description="organizes")
    def organizes(self, user: User) -> SafeString:
        latest = user.organized_events.order_by("-start_time", "-id")[:MAX_ROWS]
        return listed(
            ((link_to_event(event, event), event.start_time) for event in latest),
            link_to_list(Event, f"All {user.organized_events.count()} events", organizer__id__exact=user.pk),
        )

    @admin.display(description="attends")
    def attends(self, user: User) -> SafeString:
        latest = user.reservations.select_related("event").order_by("-event__start_time", "-id")[:MAX_ROWS]
        return listed(
            ((link_to_event(reservation, reservation.event), reservation.event.start_time) for reservation in latest),
            link_to_list(Reservation, f"All {user.reservations.count()} reservations", user__id__exact=user.pk),
        )

    @admin.display(description="waits for")
    def waits_for(self, user: User) -> SafeString:
        latest = user.waitlist.select_related("event").order_by("-event__start_time", "-id")[:MAX_ROWS]
        return listed(
            ((link_to_page(place, place.event), place.event.start_time) for place in latest),
            link_to_list(WaitlistEntry, f"All {user.waitlist.count()} places", user__id__exact=user.pk),
        )
