"""Events and the ledger of their seats.

After every commit, ``capacity - seats_remaining`` is the number of reservations of an event. The count is
computed in SQL with F expressions, never in Python. All code locks the event's row before it changes the count
or reservations, and locks several events in the order of their ids.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connections, models, transaction
from django.db.models import CheckConstraint, Expression, F, Index, Q, Value
from django.db.models.functions import Now
from django.utils import timezone

from event.capacity import MAX_CAPACITY, WholeNumber, whole_number
from event.exceptions import CapacityBelowReserved, EventStarted, SoldOut
from event.journal import log_seats
from event.search_sql import BIGRAM_LENGTH, contains_bigrams
from eventmanagement.database.breaker import LockBreaker
from eventmanagement.database.queries import PreparedQuery, SetLockTimeout
from eventmanagement.text_fields import LineField, TextField

# The circuit breaker for the locks of event rows, by event id. It guards booking, cancelling and Event.lock(). It
# does not guard the admin's form for events, nor the update() and delete() of a queryset.
EVENT_LOCK_BREAKER = LockBreaker()

MAX_DESCRIPTION_LENGTH = 10_000
DOORS_OPEN_TOO_LATE = "The doors can't open after the event ends."
EVENT_HAS_ENDED = "The event is already over."
SEATS_CANT_BE_SET = (
    "seats_remaining can't be set directly. It changes with the capacity, and with reservations: "
    "see Reservation.objects.book(). For a new event, leave it out or set it to None. All its seats are free."
)
EARLIEST_START_OFFSET = timedelta(days=-365)
STARTS_TOO_EARLY = "The start can't be more than a year in the past."


def starts_too_early(start_time: datetime) -> bool:
    """Return whether this start is too far in the past for a new event, or for a new start of an event."""
    return start_time < timezone.now() + EARLIEST_START_OFFSET


NOT_STARTED = Q(start_time__gt=Now())
STARTED = ~NOT_STARTED
UPCOMING = Q(end_time__gt=Now())
BOOKABLE = NOT_STARTED & Q(seats_remaining__gt=0)


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

        Raises TypeError for ``seats_remaining``, which only the ledger's own methods may set, and ValueError for a
        capacity that is not a whole number.
        """
        if "seats_remaining" in changes:
            raise TypeError(SEATS_CANT_BE_SET)
        if "capacity" not in changes:
            return super().update(**changes)
        capacity = whole_number(changes.pop("capacity"))
        updated = 0
        with transaction.atomic():
            event_ids = Event.objects.filter(pk__in=list(self.values_list("pk", flat=True))).lock()
            for value, ids in self._by_capacity(event_ids, capacity).items():
                updated += self.filter(pk__in=ids)._resize(value, changes)
            for event_id, seats_left in Event.objects.filter(pk__in=event_ids).values_list("pk", "seats_remaining"):
                log_seats("resized", event=event_id, seats_left=seats_left)
        return updated

    update.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    def _by_capacity(self, event_ids: list[int], capacity: int | WholeNumber) -> dict[int | None, list[int]]:
        """Group the ids of locked events by their new capacity.

        An expression is evaluated here, once for each event. If both columns evaluated it, the results could differ,
        for example for a random number.
        """
        if not isinstance(capacity, WholeNumber):
            return {capacity: event_ids} if event_ids else {}
        found = defaultdict(list)
        for event_id, value in self.filter(pk__in=event_ids).annotate(resized=capacity).values_list("pk", "resized"):
            found[value].append(event_id)
        return found

    def _resize(self, capacity: int | None, changes: dict[str, Any]) -> int:
        # In this order, no intermediate result overflows the integer type.
        seats_remaining = F("seats_remaining") - F("capacity") + Value(capacity, models.IntegerField())
        return super().update(capacity=capacity, seats_remaining=seats_remaining, **changes)

    def move_seats(self, seats_remaining: Any) -> int:
        """Set ``seats_remaining``. Only for the ledger's own methods. Returns the number of updated events."""
        return super().update(seats_remaining=seats_remaining)

    move_seats.alters_data = True  # type: ignore[attr-defined]  # A function's attribute.

    # Further options by name alone.
    def bulk_create(  # type: ignore[override]
        self, objs: Iterable["Event"], batch_size: int | None = None, **options: Any
    ) -> list["Event"]:
        """Create the events with all seats free.

        Scripts that load data often set every field. So a ``seats_remaining`` that is set does not stop the load, as it
        stops ``save``: it is replaced, with a RuntimeWarning if it is not the capacity. Raises TypeError for
        ``update_conflicts``, which would overwrite existing events, and ValueError for a capacity that is not a whole
        number.
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


@contextmanager
def _all_seats_free(events: list["Event"]) -> Iterator[None]:
    """Set ``seats_remaining`` of new events for the insert in this block. If the insert fails, restore it."""
    before = [event.seats_remaining for event in events]
    try:
        for event in events:
            event.capacity = event.seats_remaining = whole_number(event.capacity)
        yield
    except BaseException:
        for event, seats in zip(events, before, strict=True):
            event.seats_remaining = seats
        raise


EventManagerFromQuerySet = models.Manager.from_queryset(EventQuerySet)


class EventManager(EventManagerFromQuerySet["Event"]):
    def take_seat(self, event_id: int) -> "Event":
        """Take one seat. Returns the event with the new ``seats_remaining``.

        The event's row stays locked until the caller's transaction ends. Raises SoldOut, EventStarted, DoesNotExist
        or Unavailable.
        """
        with EVENT_LOCK_BREAKER.guard(event_id):
            taken = self.seats_to_take(event_id).move_seats(F("seats_remaining") - 1)
        event = self.annotate(has_started=STARTED).get(pk=event_id)
        if not taken:
            raise EventStarted if event.has_started else SoldOut  # type: ignore[attr-defined]  # Annotated.
        return event

    def seats_to_take(self, event_id: int) -> EventQuerySet:
        """Return a queryset of the event, which is empty if no seat can be taken. Every booking uses it."""
        return self.bookable().filter(waits_briefly(), pk=event_id)

    def free_seat(self, event_id: int) -> int:
        """Give back one seat. Returns the number of free seats.

        The caller must delete the reservation in the same transaction. The event's row stays locked until the
        transaction ends. Raises EventStarted, DoesNotExist or Unavailable. If no seat is taken, nothing changes:
        then the caller's reservation no longer exists either.
        """
        started = self.filter(STARTED, pk=event_id)
        taken = self.not_started().filter(waits_briefly(), pk=event_id, seats_remaining__lt=F("capacity"))
        with EVENT_LOCK_BREAKER.guard(event_id):
            freed = taken.move_seats(F("seats_remaining") + 1)
        if not freed and started.exists():
            raise EventStarted
        return self._seats_left(event_id)

    def free_seats(self, event_ids: list[int], seats: int) -> dict[int, int]:
        """Give back this many seats at each event, whose reservations this transaction has deleted.

        Returns the number of free seats of each event, by its id.
        """
        events = self.filter(pk__in=event_ids)
        events.move_seats(F("seats_remaining") + seats)
        return dict(events.order_by().values_list("pk", "seats_remaining"))

    def set_seats(self, event_id: int, seats: int) -> None:
        """Set ``seats_remaining``. The caller must hold the event's lock while it counts."""
        self.filter(pk=event_id).move_seats(seats)

    def read(self, event_id: int) -> "Event":
        """Read one event from the database. Raises DoesNotExist."""
        event = EVENT_BY_ID.first(event_id=event_id)
        if event is None:
            raise self.model.DoesNotExist
        return event

    def _seats_left(self, event_id: int) -> int:
        return self.values_list("seats_remaining", flat=True).get(pk=event_id)


EVENT_BY_ID = PreparedQuery(lambda event_id: Event.objects.filter(pk=event_id), event_id=-1)


class Event(models.Model):
    title = LineField(max_length=200)
    description = TextField(blank=True, max_length=MAX_DESCRIPTION_LENGTH)
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    show_time = models.DateTimeField("doors open", null=True, blank=True)
    capacity = models.IntegerField(validators=[MinValueValidator(1), MaxValueValidator(MAX_CAPACITY)])
    seats_remaining = models.IntegerField(editable=False)
    organizer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="organized_events",
        # The index event_by_organizer covers this column.
        db_index=False,
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
        """Save the event, but never the instance's ``seats_remaining``, which may be outdated.

        A new event starts with all seats free. A changed capacity is saved by ``resize``, which may raise
        CapacityBelowReserved. Raises ValueError for a capacity that is not a whole number, and TypeError for a new
        event whose ``seats_remaining`` is set, or if ``update_fields`` contains it. If the capacity was an
        expression, the attribute gets its value.
        """
        if self._state.adding or self.pk is None:
            if self.has_own_seat_count:
                raise TypeError(SEATS_CANT_BE_SET)
            with _all_seats_free([self]):
                # force_insert: an existing event with this id must not be overwritten with a reset seat count.
                super().save(update_fields=update_fields, **options | {"force_insert": True})
            if isinstance(self.capacity, WholeNumber):
                self.refresh_from_db(fields=["capacity", "seats_remaining"])
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
            if "seats_remaining" in written:
                raise TypeError(SEATS_CANT_BE_SET)
        with transaction.atomic():
            if "capacity" in written:
                self.resize(self.capacity)
            super().save(update_fields=written - {"capacity", "seats_remaining"}, **options)

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

    def resize(self, capacity: int | Expression) -> None:
        """Set the capacity, and change ``seats_remaining`` by the same difference.

        Raises CapacityBelowReserved, ValueError for a value that is not a whole number, or DoesNotExist if the event
        has been deleted. The same capacity again changes nothing.
        """
        capacity = whole_number(capacity)
        events = Event.objects.filter(pk=self.pk)
        is_enough = Q(seats_remaining__gte=F("capacity") - capacity)
        is_same = Q(capacity=capacity)
        resized = events.filter(is_enough).exclude(is_same).update(capacity=capacity)
        if not resized and not events.filter(is_same).exists():
            raise CapacityBelowReserved(events.only("capacity", "seats_remaining").get().reserved)
        self.refresh_from_db(fields=["capacity", "seats_remaining"])
