"""Events and the ledger of their seats.

After every commit, ``capacity - seats_remaining`` is the number of reservations of an event, and ``waiting`` is the
length of its waiting list. Nobody waits while a seat is free, or for an event that was called off. The counts are
computed in SQL with F expressions, never in Python. All code locks the event's row before it changes the counts,
reservations or places on the waiting list, and locks several events in the order of their ids.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator
from django.db import connections, models, transaction
from django.db.models import Case, CheckConstraint, Expression, F, Index, Q, Value, When
from django.db.models.expressions import DatabaseDefault
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from event.capacity import MAX_CAPACITY, WholeNumber, whole_number
from event.exceptions import CapacityBelowReserved, EventCancelled, EventStarted, SeatsAvailable, SoldOut
from event.journal import log_promotions, log_seats
from event.search_sql import BIGRAM_LENGTH, contains_bigrams
from event.signals import Freed, Handover, events_called_off, hand_over
from eventmanagement.database.breaker import LockBreaker
from eventmanagement.database.queries import PreparedQuery, RandomUUID, SetLockTimeout
from eventmanagement.refusals import Refusal
from eventmanagement.text_fields import LineField, TextField

# The circuit breaker for the locks of event rows, by event id. It guards booking, cancelling and Event.lock(). It
# does not guard the admin's form for events, nor the update() and delete() of a queryset.
EVENT_LOCK_BREAKER = LockBreaker()

MAX_DESCRIPTION_LENGTH = 10_000
MAX_REASON_LENGTH = 2_000
DOORS_OPEN_TOO_LATE = "The doors can't open after the event ends."
EVENT_HAS_ENDED = "The event is already over."
SEATS_CANT_BE_SET = (
    "seats_remaining can't be set directly. It changes with the capacity, and with reservations: "
    "see Reservation.objects.book(). For a new event, leave it out or set it to None. All its seats are free."
)
WAITING_CANT_BE_SET = "waiting can't be set directly. It changes with the places on the waiting list."
CANCELLATION_CANT_BE_SET = "An event is called off with cancel(), for good. Its fields can't be set directly."
# The fields that only the methods of the ledger may write, with the error for all other code.
PROTECTED_FIELDS = {
    "seats_remaining": SEATS_CANT_BE_SET,
    "waiting": WAITING_CANT_BE_SET,
    "cancelled_at": CANCELLATION_CANT_BE_SET,
    "cancellation_reason": CANCELLATION_CANT_BE_SET,
}
# The fields of an event that a calendar shows. A change of one of them is a new revision. So is calling the event off.
SHOWN_IN_CALENDARS = frozenset({"title", "description", "start_time", "end_time", "show_time"})
EARLIEST_START_OFFSET = timedelta(days=-365)
STARTS_TOO_EARLY = "The start can't be more than a year in the past."


def starts_too_early(start_time: datetime) -> bool:
    """Return whether this start is too far in the past for a new event, or for a new start of an event."""
    return start_time < timezone.now() + EARLIEST_START_OFFSET


def fewer_waiting(number: int) -> Expression:
    """Return the new value of ``waiting`` after this many places were removed from the list."""
    # Not negative, even if the length of the list was counted wrongly.
    return Greatest(F("waiting") - number, 0)


NOT_STARTED = Q(start_time__gt=Now())
STARTED = ~NOT_STARTED
UPCOMING = Q(end_time__gt=Now())
NOT_CANCELLED = Q(cancelled_at=None)
BOOKABLE = NOT_CANCELLED & NOT_STARTED & Q(seats_remaining__gt=0)
# When the waiting list can be joined.
JOINABLE = NOT_CANCELLED & NOT_STARTED & Q(seats_remaining=0)


def next_revision(shown: dict[str, Any]) -> Any:
    """Return the expression for an event's new revision: one more if one of these fields gets another value."""
    return F("revision") + Case(When(Q(**shown), then=Value(0)), default=Value(1))


def waits_briefly() -> SetLockTimeout:
    """Return a condition that limits how long its statement waits for the lock of an event's row."""
    return SetLockTimeout(settings.BOOKING_LOCK_TIMEOUT)


class EventQuerySet(models.QuerySet["Event"]):
    def not_started(self) -> "EventQuerySet":
        """Return the events that have not started, according to the database's clock."""
        return self.filter(NOT_STARTED)

    def upcoming(self) -> "EventQuerySet":
        """Return the events that are not over yet, according to the database's clock. They may have started."""
        return self.filter(UPCOMING)

    def over(self) -> "EventQuerySet":
        """Return the events that are over, according to the database's clock."""
        return self.exclude(UPCOMING)

    def called_off(self) -> "EventQuerySet":
        return self.exclude(NOT_CANCELLED)

    def not_called_off(self) -> "EventQuerySet":
        return self.filter(NOT_CANCELLED)

    def bookable(self) -> "EventQuerySet":
        return self.filter(BOOKABLE)

    def not_bookable(self) -> "EventQuerySet":
        return self.exclude(BOOKABLE)

    def with_words(self, words: Sequence[str]) -> "EventQuerySet":
        """Return the events that contain every word in the title or the description, ignoring case."""
        conditions: list[Q | Expression] = [Q(title__icontains=word) | Q(description__icontains=word) for word in words]
        if connections[self.db].vendor == "postgresql":
            conditions += [contains_bigrams(word) for word in words if len(word) == BIGRAM_LENGTH]
        return self.filter(*conditions)

    def locked(self) -> "EventQuerySet":
        """Return these events with FOR NO KEY UPDATE, in the order of their ids. All code locks events in this order.

        Unlike FOR UPDATE, this lock lets other transactions insert rows that reference the event.
        """
        return self.order_by("pk").select_for_update(no_key=True)

    def lock(self) -> list[int]:
        """Lock these events until the transaction ends. Returns their ids in ascending order."""
        return list(self.locked().values_list("pk", flat=True))

    def update(self, **changes: Any) -> int:
        """Update the events. A new capacity changes ``seats_remaining`` by the same difference.

        If the capacity becomes larger, the new seats go to the people on the waiting list first. A change of what a
        calendar shows is a new revision. Raises TypeError for one of PROTECTED_FIELDS, and ValueError for a capacity
        that is not a whole number.
        """
        refuse_protected(changes)
        shown = {name: value for name, value in changes.items() if name in SHOWN_IN_CALENDARS}
        if shown:
            changes["revision"] = next_revision(shown)
        if "capacity" not in changes:
            return super().update(**changes)
        capacity = whole_number(changes.pop("capacity"))
        with transaction.atomic():
            event_ids = Event.objects.filter(pk__in=list(self.values_list("pk", flat=True))).lock()
            # Read again after the wait for the locks. An expression is evaluated here, once for each event. If both
            # columns evaluated it, the results could differ, for example for a random number.
            value = capacity if isinstance(capacity, WholeNumber) else Value(capacity, models.IntegerField())
            locked = self.filter(pk__in=event_ids).annotate(resized=value).values_list("pk", "capacity", "resized")
            resized = {event_id: Resize(before, after) for event_id, before, after in locked}
            if changes:
                models.QuerySet.update(self.filter(pk__in=list(resized)), **changes)
            seats = {event_id: resize.seats for event_id, resize in resized.items()}
            capacities = {event_id: resize.after for event_id, resize in resized.items()}
            for event_id, freed in Event.objects.free_seats(seats, capacities).items():
                log_seats("resized", event=event_id, seats_left=freed.seats_before_promotions)
                log_promotions(event_id, freed)
        return len(resized)

    update.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    def move_seats(self, seats_remaining: Any, **columns: Any) -> int:
        """Set ``seats_remaining`` and other columns. Only for the ledger's own methods.

        Returns the number of updated events.
        """
        return super().update(seats_remaining=seats_remaining, **columns)

    move_seats.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    def move_waiting(self, waiting: Any) -> int:
        """Set ``waiting``. Only for the ledger's own methods. Returns the number of updated events."""
        return super().update(waiting=waiting)

    move_waiting.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    def set_cancelled(self, reason: str) -> int:
        """Set that the events are called off now, and that nobody waits. Only for ``EventManager.cancel``.

        Returns the number of updated events.
        """
        return super().update(cancelled_at=Now(), cancellation_reason=reason, waiting=0, revision=F("revision") + 1)

    set_cancelled.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    # Further options by name alone.
    def bulk_create(  # type: ignore[override]
        self, objs: Iterable["Event"], batch_size: int | None = None, **options: Any
    ) -> list["Event"]:
        """Create the events with all seats free.

        Scripts that load data often set every field. So a ``seats_remaining`` that is set does not stop the load, as it
        stops ``save``: it is replaced, with a RuntimeWarning if it is not the capacity. Raises TypeError for
        ``update_conflicts``, which would overwrite existing events, and for an event with another one of
        PROTECTED_FIELDS, and ValueError for a capacity that is not a whole number.
        """
        if options.get("update_conflicts"):
            raise TypeError("bulk_create can't overwrite an existing event: it would reset its seats.")
        events = list(objs)
        if any(event.has_own_seat_count and event.seats_remaining != event.capacity for event in events):
            warning = f"bulk_create has replaced seats_remaining. {SEATS_CANT_BE_SET}"
            warnings.warn(warning, RuntimeWarning, stacklevel=3)
        with _all_seats_free(events):
            created = super().bulk_create(events, batch_size, **options)
        for event in created:
            if event.pk and isinstance(event.capacity, WholeNumber):
                event.refresh_from_db(fields=["capacity", "seats_remaining"])
        return created

    def bulk_update(self, objs: Iterable["Event"], fields: Iterable[str], batch_size: int | None = None) -> int:
        """Update the events. Raises ValueError for a capacity that is not a whole number."""
        events, fields = list(objs), list(fields)
        if "capacity" in fields:
            for event in events:
                # Django would truncate the value instead of rejecting it.
                whole_number(event.capacity)
        return super().bulk_update(events, fields, batch_size)

    bulk_update.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    def delete(self) -> tuple[int, dict[str, int]]:
        """Lock the events, then delete them with their reservations."""
        with transaction.atomic():
            for event_id in Event.objects.filter(pk__in=list(self.values_list("pk", flat=True))).lock():
                log_seats("deleted", event=event_id, seats_left=0)
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.
    delete.queryset_only = True  # type: ignore[attr-defined]  # A function's attribute.


def refuse_protected(fields: Iterable[str]) -> None:
    """Raise TypeError if the fields contain one of PROTECTED_FIELDS."""
    for field, message in PROTECTED_FIELDS.items():
        if field in fields:
            raise TypeError(message)


@contextmanager
def _all_seats_free(events: list["Event"]) -> Iterator[None]:
    """Set the protected fields of new events for the insert in this block.

    All seats are free, nobody waits, and the event is not called off. If the insert fails, restore the fields. Raises
    TypeError if one of them is set already, except on a copy: a loaded instance whose primary key was set to None. The
    caller must check ``seats_remaining``. A copy is another event for calendars too.
    """
    before = [{field: getattr(event, field) for field in PROTECTED_FIELDS} for event in events]
    for event, values in zip(events, before, strict=True):
        if event._state.adding:
            set_fields = {field for field, value in values.items() if not isinstance(value, DatabaseDefault | None)}
            refuse_protected(set_fields - {"seats_remaining"})
    try:
        for event in events:
            event.capacity = event.seats_remaining = whole_number(event.capacity)
            event.waiting, event.cancelled_at, event.cancellation_reason = 0, None, ""
            if not event._state.adding:
                event.uid, event.revision = uuid4(), 0
        yield
    except BaseException:
        for event, values in zip(events, before, strict=True):
            for field, value in values.items():
                setattr(event, field, value)
        raise


class Resize(NamedTuple):
    """The capacity of an event before and after a change. ``after`` is None if the new value is NULL."""

    before: int
    after: int | None

    @property
    def seats(self) -> int:
        """How many seats the change frees. Negative if the capacity becomes smaller."""
        return 0 if self.after is None else self.after - self.before


EventManagerFromQuerySet = models.Manager.from_queryset(EventQuerySet)


class EventManager(EventManagerFromQuerySet["Event"]):
    def take_seat(self, event_id: int) -> "Event":
        """Take one seat. Returns the event with the new ``seats_remaining``.

        The event's row stays locked until the caller's transaction ends. Raises EventCancelled, EventStarted, SoldOut,
        DoesNotExist or Unavailable.
        """
        with EVENT_LOCK_BREAKER.guard(event_id):
            taken = self.seats_to_take(event_id).move_seats(F("seats_remaining") - 1)
        event = self.annotate(has_started=STARTED).get(pk=event_id)
        if not taken:
            raise _why_closed(event) or SoldOut
        return event

    def seats_to_take(self, event_id: int) -> EventQuerySet:
        """Return a queryset of the event, which is empty if no seat can be taken. Every booking uses it."""
        return self.bookable().filter(waits_briefly(), pk=event_id)

    def add_waiting(self, event_id: int) -> "Event":
        """Count one more place on the waiting list. Returns the event with the new ``waiting``.

        The caller must insert the place in the same transaction. The event's row stays locked until the transaction
        ends. Raises EventCancelled, EventStarted, SeatsAvailable, DoesNotExist or Unavailable.
        """
        joinable = self.filter(JOINABLE).filter(waits_briefly(), pk=event_id)
        with EVENT_LOCK_BREAKER.guard(event_id):
            joined = joinable.move_waiting(F("waiting") + 1)
        event = self.annotate(has_started=STARTED).get(pk=event_id)
        if not joined:
            raise _why_closed(event) or SeatsAvailable
        return event

    def remove_waiting(self, event_id: int) -> None:
        """Count one place less on the waiting list, even if the event has started.

        The caller must delete the place in the same transaction. The event's row stays locked until the transaction
        ends. Raises Unavailable.
        """
        with EVENT_LOCK_BREAKER.guard(event_id):
            self.filter(waits_briefly(), pk=event_id).move_waiting(fewer_waiting(1))

    def remove_all_waiting(self, numbers: Mapping[int, int]) -> None:
        """Count this many places less on the waiting list of each of these events, whose locks the caller holds."""
        by_number = defaultdict(list)
        for event_id, number in numbers.items():
            by_number[number].append(event_id)
        for number, event_ids in by_number.items():
            self.filter(pk__in=event_ids).move_waiting(fewer_waiting(number))

    def free_seat(self, event_id: int) -> Freed:
        """Give back one seat. If somebody waits, the first one in line gets it in the same transaction.

        The caller must delete the reservation in the same transaction. The event's row stays locked until the
        transaction ends. Raises EventStarted, DoesNotExist or Unavailable. If all seats are free already, nothing
        changes, because then the caller's reservation no longer exists.
        """
        taken = self.not_started().filter(waits_briefly(), pk=event_id, seats_remaining__lt=F("capacity"))
        with EVENT_LOCK_BREAKER.guard(event_id):
            freed = taken.filter(waiting=0).move_seats(F("seats_remaining") + 1)
            locked = [] if freed else taken.lock()
        if locked:
            return self.free_seats({event_id: 1})[event_id]
        if not freed and self.filter(STARTED, pk=event_id).exists():
            raise EventStarted
        return Freed(self.values_list("seats_remaining", flat=True).get(pk=event_id))

    def free_seats(
        self, seats: Mapping[int, int], capacities: Mapping[int, int | None] | None = None
    ) -> dict[int, Freed]:
        """Free this many seats at each of these events, by id.

        Every way to free seats ends here, except ``free_seat`` while nobody waits.

        The first people on the waiting list get the seats. The remaining seats are free. ``capacities`` are the new
        capacities, if the events are resized. If one becomes smaller, its number of seats is negative. The caller must
        hold the locks of the events.
        """
        handovers = hand_over(self.model, {event_id: number for event_id, number in seats.items() if number > 0})
        # Events with the same changes are updated together.
        same = defaultdict(list)
        for event_id, number in seats.items():
            promoted, closed = handovers.get(event_id, Handover())
            left = number - len(promoted)
            # If seats are left, the list is empty, even if its length was counted wrongly. Then ``removed`` is None.
            removed = closed if left <= 0 else None
            same[left, removed, capacities and capacities[event_id]].append(event_id)
        freed = {}
        for (left, removed, capacity), event_ids in same.items():
            columns: dict[str, Any] = {"waiting": 0 if removed is None else fewer_waiting(removed)}
            if capacities:
                columns["capacity"] = Value(capacity, models.IntegerField())
            # All in one update, because the constraints are checked after each statement.
            events = self.filter(pk__in=event_ids)
            events.move_seats(F("seats_remaining") + left, **columns)
            for event_id, seats_left in events.order_by().values_list("pk", "seats_remaining"):
                freed[event_id] = Freed(seats_left, handovers.get(event_id, Handover()).promoted)
        return freed

    def cancel(self, event_ids: Iterable[int], reason: str = "") -> list[int]:
        """Call these events off, for good. Returns the ids of those that this call has called off, in ascending order.

        Their reservations stay, and their waiting lists are removed in the same transaction. An event that was called
        off before keeps its time and its reason. The events stay locked until the caller's transaction ends. Raises
        ValidationError for a reason that is too long or has control characters.
        """
        reason = self.model._meta.get_field("cancellation_reason").clean(reason, None)
        with transaction.atomic():
            # After a wait for a lock, PostgreSQL checks again that the event is not called off.
            called_off = self.not_called_off().filter(pk__in=list(event_ids)).lock()
            self.not_called_off().filter(pk__in=called_off).set_cancelled(reason)
            # Not send_robust: if the lists can't be removed, the events are not called off.
            events_called_off.send(self.model, event_ids=called_off)
            seats = self.filter(pk__in=called_off).order_by("pk").values_list("pk", "seats_remaining")
            for event_id, seats_left in seats:
                log_seats("called_off", event=event_id, seats_left=seats_left)
        return called_off

    def lock_briefly(self, event_id: int) -> "Event":
        """Lock the event's row until the transaction ends, and return the event.

        Waits for BOOKING_LOCK_TIMEOUT at most. Raises DoesNotExist or Unavailable.
        """
        with EVENT_LOCK_BREAKER.guard(event_id):
            return self.locked().filter(waits_briefly()).get(pk=event_id)

    def set_seats(self, event_id: int, seats: int, waiting: int = 0) -> None:
        """Set ``seats_remaining`` and ``waiting``. The caller must hold the event's lock while it counts."""
        self.filter(pk=event_id).move_seats(seats, waiting=waiting)

    def read(self, event_id: int) -> "Event":
        """Read one event from the database. Raises DoesNotExist."""
        event = EVENT_BY_ID.first(event_id=event_id)
        if event is None:
            raise self.model.DoesNotExist
        return event


def _why_closed(event: "Event") -> type[Refusal] | None:
    """Return why nobody can book or wait, or None. The event must have ``has_started``."""
    if event.is_cancelled:
        return EventCancelled
    return EventStarted if event.has_started else None  # type: ignore[attr-defined]  # Annotated.


EVENT_BY_ID = PreparedQuery(lambda event_id: Event.objects.filter(pk=event_id), event_id=-1)


class Event(models.Model):
    title = LineField(max_length=200)
    description = TextField(blank=True, max_length=MAX_DESCRIPTION_LENGTH)
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    show_time = models.DateTimeField("doors open", null=True, blank=True)
    capacity = models.IntegerField(validators=[MinValueValidator(1), MaxValueValidator(MAX_CAPACITY)])
    seats_remaining = models.IntegerField(editable=False)
    # The number of places on the waiting list. With the default in the database, an older release can insert events.
    waiting = models.IntegerField(db_default=0, editable=False)
    organizer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="organized_events",
        # The index event_by_organizer covers this column.
        db_index=False,
    )
    # Identifies the event in calendars, and never changes. The id would be ambiguous between two sites. Every row has a
    # uid, although the column allows NULL: making it NOT NULL would check all rows under a lock that blocks bookings.
    uid = models.UUIDField(default=uuid4, db_default=RandomUUID(), editable=False, null=True)
    # Grows with every change that a calendar shows.
    revision = models.IntegerField(default=0, db_default=0, editable=False)
    # When the event was called off, by the database's clock.
    cancelled_at = models.DateTimeField("called off at", null=True, editable=False)
    # As for ``waiting``, an older release can insert events.
    cancellation_reason = TextField(
        "reason",
        blank=True,
        max_length=MAX_REASON_LENGTH,
        validators=[MaxLengthValidator(MAX_REASON_LENGTH)],
        db_default="",
        editable=False,
    )

    objects = EventManager()

    class Meta:
        ordering = ["start_time", "id"]
        # Makes Event._base_manager an EventManager, so that it can't change the capacity without the seats.
        base_manager_name = "objects"
        constraints = [
            CheckConstraint(name="event_capacity_is_positive", condition=Q(capacity__gte=1)),
            CheckConstraint(name="event_seats_are_not_oversold", condition=Q(seats_remaining__gte=0)),
            CheckConstraint(name="event_seats_are_within_capacity", condition=Q(seats_remaining__lte=F("capacity"))),
            CheckConstraint(name="event_waiting_is_not_negative", condition=Q(waiting__gte=0)),
            CheckConstraint(
                name="event_nobody_waits_beside_a_free_seat", condition=Q(seats_remaining=0) | Q(waiting=0)
            ),
            CheckConstraint(name="event_nobody_waits_if_called_off", condition=Q(cancelled_at=None) | Q(waiting=0)),
            CheckConstraint(
                name="event_starts_before_it_ends",
                condition=Q(start_time__lt=F("end_time")),
                violation_error_message="The event must end after it starts.",
            ),
            CheckConstraint(
                name="event_opens_before_it_ends",
                condition=Q(show_time__lte=F("end_time")),
                violation_error_message=DOORS_OPEN_TOO_LATE,
            ),
        ]
        indexes = [
            # For the list in its default order, for ?start_after= and ?start_before=, and for ?upcoming=. Without the
            # end, the first page of upcoming events read the rows of all events that are over: 0.5 seconds with
            # 300,000 events, 80% of them over. With it, 4 ms.
            Index(name="event_by_start_and_end", fields=["start_time", "id", "end_time"]),
            # For ?organizer=, and for the PROTECT check when a user is deleted.
            Index(name="event_by_organizer", fields=["organizer", "start_time", "id"]),
            # For ?ordering=capacity and -capacity. Both orders sort ties by ascending id, so each needs its own index.
            Index(name="event_by_capacity", fields=["capacity", "id"]),
            Index(name="event_by_capacity_down", fields=["-capacity", "id"]),
            # There is no index on seats_remaining. With one, every booking would have to update all indexes of the
            # table; without it, PostgreSQL updates none (a HOT update). Sorting 100,000 events by seats_remaining
            # takes some ten milliseconds. The indexes for search are created by migrations 0003 and 0004, on
            # PostgreSQL only.
        ]

    def __str__(self) -> str:
        return str(self.title)

    @property
    def has_own_seat_count(self) -> bool:
        """Whether ``seats_remaining`` is set on a new event. A copy (a loaded instance without its id) is not new."""
        return self._state.adding and self.seats_remaining is not None

    @property
    def is_cancelled(self) -> bool:
        """Whether the event was called off."""
        return self.cancelled_at is not None

    @property
    def reserved(self) -> int:
        """The number of seats that were reserved when this instance was read."""
        return self.capacity - self.seats_remaining

    def clean(self) -> None:
        """Reject a new event that has ended, and a new start more than a year ago. The constraints check the rest."""
        if self._state.adding and self.end_time and self.end_time <= timezone.now():
            raise ValidationError({"end_time": EVENT_HAS_ENDED})
        unmoved = Event.objects.filter(pk=self.pk, start_time=self.start_time)
        if self.start_time and starts_too_early(self.start_time) and not unmoved.exists():
            raise ValidationError({"start_time": STARTS_TOO_EARLY})

    def save(self, *, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        """Save the event, but never the instance's PROTECTED_FIELDS, which may be outdated.

        A new event starts with all seats free. A changed capacity is saved by ``resize``, which may raise
        CapacityBelowReserved. A change of what a calendar shows is a new revision. Raises ValueError for a capacity
        that is not a whole number, and TypeError for a new event with one of PROTECTED_FIELDS, or if ``update_fields``
        contains one. If the capacity was an expression, the attribute gets its value.
        """
        if self._state.adding or self.pk is None:
            if self.has_own_seat_count:
                raise TypeError(SEATS_CANT_BE_SET)
            with _all_seats_free([self]):
                # force_insert: an existing event with this id must not be overwritten with a reset seat count.
                super().save(update_fields=update_fields, **options | {"force_insert": True})
            if isinstance(self.capacity, WholeNumber):
                self.refresh_from_db(fields=["capacity", "seats_remaining", "waiting"])
            return
        if update_fields is None:
            # Like Django, do not write deferred fields.
            unloaded = self.get_deferred_fields()
            written = {
                field.name
                for field in self._meta.concrete_fields
                if not field.primary_key and field.attname not in unloaded
            }
        else:
            written = set(update_fields)
            refuse_protected(written)
        written -= {"uid", "revision"}
        with transaction.atomic(), self._revised(written):
            super().save(update_fields=written - {"capacity", *PROTECTED_FIELDS}, **options)
            if "capacity" in written:
                # After the new times are written: who gets new seats depends on whether the event is over.
                self.resize(self.capacity)

    @contextmanager
    def _revised(self, written: set[str]) -> Iterator[None]:
        """Let the save in this block also write the next revision, if it writes what a calendar shows."""
        shown = {name: getattr(self, name) for name in written & SHOWN_IN_CALENDARS}
        if not shown:
            yield
            return
        before = self.revision
        self.revision = next_revision(shown)
        written.add("revision")
        try:
            yield
        except BaseException:
            self.revision = before
            raise
        self.refresh_from_db(fields=["revision"])

    # Options by name alone, as for save.
    def delete(self, **options: Any) -> tuple[int, dict[str, int]]:  # type: ignore[override]
        """Lock the event, then delete it with its reservations."""
        with transaction.atomic():
            for event_id in Event.objects.filter(pk=self.pk).lock():
                log_seats("deleted", event=event_id, seats_left=0)
            return super().delete(**options)

    def lock(self) -> None:
        """Lock the event's row until the transaction ends, and refresh this instance.

        Raises DoesNotExist if the event has been deleted, or Unavailable.
        """
        with EVENT_LOCK_BREAKER.guard(self.pk):
            self.refresh_from_db(from_queryset=Event.objects.locked())

    def cancel(self, reason: str = "") -> None:
        """Call the event off, for good. Its reservations stay, and its waiting list is removed.

        If it was called off before, it keeps its time and its reason. See ``EventManager.cancel``. Raises
        DoesNotExist if the event has been deleted.
        """
        Event.objects.cancel([self.pk], reason)
        self.refresh_from_db()

    def resize(self, capacity: int | Expression) -> None:
        """Set the capacity, and change ``seats_remaining`` by the same difference.

        People on the waiting list get the new seats first. Raises CapacityBelowReserved, ValueError for a value that is
        not a whole number, or DoesNotExist if the event has been deleted. The same capacity again changes nothing.
        """
        capacity = whole_number(capacity)
        events = Event.objects.filter(pk=self.pk)
        is_enough = Q(seats_remaining__gte=F("capacity") - capacity)
        is_same = Q(capacity=capacity)
        resized = events.filter(is_enough).exclude(is_same).update(capacity=capacity)
        if not resized and not events.filter(is_same).exists():
            raise CapacityBelowReserved(events.only("capacity", "seats_remaining").get().reserved)
        self.refresh_from_db(fields=["capacity", "seats_remaining", "waiting"])
