"""Events and the ledger of their seats.

``capacity - seats_remaining`` is the number of reservations, after every commit. The database
counts, never Python: seats move by an F-expression, under the lock of the event's row, which
every path takes before it touches reservations, several events in the order of their ids.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connections, models, transaction
from django.db.models import CheckConstraint, Expression, F, Index, Q
from django.db.models.functions import Cast, Now
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

from event.exceptions import CapacityBelowReserved, EventStarted, SoldOut
from event.search_sql import PAIR, has_pairs_of
from eventmanagement.database.breaker import LockBreaker
from eventmanagement.database.queries import CompiledQuery, LockTimeout, Parameter

logger = logging.getLogger("event.seats")

# Guards every statement of a request that waits for an event's row, by the event's id.
EVENT_LOCKS = LockBreaker()

# What PostgreSQL's integer holds; SQLite would take more.
LARGEST_CAPACITY = 2**31 - 1
LONGEST_DESCRIPTION = 10_000
EVENT_IS_OVER = "The event is already over."
EARLIEST_START = timedelta(days=-365)
STARTS_TOO_EARLY = "An event can't start more than a year ago."


def log_seats(
    movement: str, *, event: int, seats_left: int, user: int | None = None, reservation: int | None = None
) -> None:
    """Write one line of the ledger's journal, if and when the transaction has committed.

    The movements are taken and returned, of a reservation, and resized, repaired and deleted, of
    an event. What was taken and not returned is what is reserved, by whom, at every event that was
    not deleted. Lines are written after the commit, so those of two transactions may change
    places: a reservation's id tells which belong together.
    """
    line = {"movement": movement, "event": event, "seats_left": seats_left, "user": user, "reservation": reservation}
    transaction.on_commit(
        partial(logger.info, "event %s: %s, %s seats left", event, movement, seats_left, extra=line), robust=True
    )


def starts_too_early(start_time: datetime) -> bool:
    """Say whether an event may no longer be created with this start, or moved there."""
    return start_time < timezone.now() + EARLIEST_START


NOT_STARTED = Q(start_time__gt=Now())
STARTED = ~NOT_STARTED
BOOKABLE = NOT_STARTED & Q(seats_remaining__gt=0)


class WholeNumber(Cast):
    """The value of an expression, rounded by the database to a whole number."""

    def __init__(self, expression: Any) -> None:
        super().__init__(expression, models.IntegerField())

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        # SQLite's CAST drops the fraction, and turns what is too large into the largest integer. A NULL is an
        # error instead: the column refuses it.
        template = f"NULLIF(CAST(ROUND(%(expressions)s) AS %(db_type)s), {models.BigIntegerField.MAX_BIGINT})"
        return super().as_sqlite(compiler, connection, template=template, **context)


def whole_number(capacity: Any) -> int | WholeNumber:
    """Give a capacity as a whole number: a value as an integer, an expression as one that the database rounds.

    Raises ValueError for a value that is not a whole number.
    """
    if hasattr(capacity, "resolve_expression"):
        return WholeNumber(capacity)
    try:
        number = int(capacity)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not (isinstance(capacity, str) or number == capacity):
        raise ValueError(f"A capacity is a whole number of seats, not {capacity!r:.50}.")
    return number


class EventQuerySet(models.QuerySet):
    def not_started(self) -> "EventQuerySet":
        """Events that have not started, by the database's clock."""
        return self.filter(NOT_STARTED)

    def bookable(self) -> "EventQuerySet":
        return self.filter(BOOKABLE)

    def not_bookable(self) -> "EventQuerySet":
        return self.exclude(BOOKABLE)

    def with_words(self, words: Sequence[str]) -> "EventQuerySet":
        """Events that have each of the words in their title or description, whatever its case."""
        conditions = [Q(title__icontains=word) | Q(description__icontains=word) for word in words]
        if connections[self.db].vendor == "postgresql":
            conditions += [has_pairs_of(word) for word in words if len(word) == PAIR]
        return self.filter(*conditions)

    def locked(self) -> "EventQuerySet":
        """The same events in the order of their ids, the one order in which several are locked.

        The lock lets foreign keys to the event be checked meanwhile.
        """
        return self.order_by("pk").select_for_update(no_key=True)

    def lock(self) -> list[int]:
        """Lock these events until the transaction ends; give their ids in the order of locking."""
        return list(self.locked().values_list("pk", flat=True))

    def update(self, **changes: Any) -> int:
        """Update as ever, but let no capacity change without the seats that remain of it.

        Raises TypeError for ``seats_remaining``, which only the ledger's own methods write, and
        ValueError for a capacity that is not a whole number.
        """
        if "seats_remaining" in changes:
            raise TypeError("Seats move with reservations and with the capacity, not by themselves.")
        if "capacity" in changes:
            # Rounded once for both columns: they would round a fraction each in its own way.
            changes["capacity"] = capacity = whole_number(changes["capacity"])
            # Taken from left to right, no step leaves the range of the column.
            changes["seats_remaining"] = F("seats_remaining") - F("capacity") + capacity
        return super().update(**changes)

    update.alters_data = True

    def _move_seats(self, seats_remaining: Any) -> int:
        return super().update(seats_remaining=seats_remaining)

    def bulk_create(self, objs: Iterable["Event"], batch_size: int | None = None, **options: Any) -> list["Event"]:
        """Create the events with all their seats.

        Raises TypeError where it would overwrite others, and ValueError for a capacity that is not
        a whole number.
        """
        if options.get("update_conflicts"):
            raise TypeError("An event that is there already has seats of its own.")
        events = list(objs)
        for event in events:
            event.capacity = event.seats_remaining = whole_number(event.capacity)
        created = super().bulk_create(events, batch_size, **options)
        for event in created:
            if event.pk and isinstance(event.capacity, WholeNumber):
                event.refresh_from_db(fields=["capacity", "seats_remaining"])
        return created

    def bulk_update(self, objs: Iterable["Event"], fields: Iterable[str], batch_size: int | None = None) -> int:
        """Update the events as ever. Raises ValueError for a capacity that is not a whole number."""
        events, fields = list(objs), list(fields)
        if "capacity" in fields:
            for event in events:
                # Django would drop the fraction of a plain value.
                whole_number(event.capacity)
        return super().bulk_update(events, fields, batch_size)

    bulk_update.alters_data = True

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the events, each locked before the reservations that go with it."""
        with transaction.atomic():
            for event_id in Event.objects.filter(pk__in=list(self.values_list("pk", flat=True))).lock():
                log_seats("deleted", event=event_id, seats_left=0)
            return super().delete()

    delete.alters_data = True
    delete.queryset_only = True


class EventManager(models.Manager.from_queryset(EventQuerySet)):
    def take_seat(self, event_id: int) -> "Event":
        """Claim one seat and give the event as it is with that seat taken.

        The event's row stays locked until the caller's transaction ends. Raises SoldOut or
        EventStarted, DoesNotExist for an event that is not there, or Unavailable.
        """
        with EVENT_LOCKS.guard(event_id):
            event = TAKE_SEAT.first(event_id=event_id)
        if event is None:
            raise EventStarted if self._has_started(event_id) else SoldOut
        return event

    def read(self, event_id: int) -> "Event":
        """Give one event as it is now. Raises DoesNotExist."""
        event = READ_EVENT.first(event_id=event_id)
        if event is None:
            raise self.model.DoesNotExist
        return event

    def free_seat(self, event_id: int) -> int:
        """Free one seat, whose reservation the caller deletes in the same transaction; say how many are left.

        The event's row stays locked until then. Raises EventStarted, DoesNotExist for an event that
        is not there, or Unavailable. An event without a seat taken is left as it is: the caller will
        find no reservation either.
        """
        with EVENT_LOCKS.guard(event_id):
            event = FREE_SEAT.first(event_id=event_id)
        if event is not None:
            return event.seats_remaining
        if self._has_started(event_id):
            raise EventStarted
        return self._seats_left(event_id)

    def give_back_seats(self, event_id: int, seats: int) -> int:
        """Free seats whose reservations the caller's transaction has deleted; say how many are left."""
        self.filter(pk=event_id)._move_seats(F("seats_remaining") + seats)
        return self._seats_left(event_id)

    def set_seats(self, event_id: int, seats: int) -> None:
        """Set what remains to what the caller has counted under the event's lock."""
        self.filter(pk=event_id)._move_seats(seats)

    def _seats_left(self, event_id: int) -> int:
        return self.values_list("seats_remaining", flat=True).get(pk=event_id)

    def _has_started(self, event_id: int) -> bool:
        return self.annotate(started=STARTED).values_list("started", flat=True).get(pk=event_id)


EVENT_ID = Parameter("event_id", models.BigIntegerField())
TAKE_SEAT = CompiledQuery(
    lambda: Event.objects.bookable().filter(LockTimeout(settings.BOOKING_LOCK_TIMEOUT), pk=EVENT_ID),
    seats_remaining=F("seats_remaining") - 1,
)
FREE_SEAT = CompiledQuery(
    lambda: Event.objects.not_started().filter(
        LockTimeout(settings.BOOKING_LOCK_TIMEOUT), pk=EVENT_ID, seats_remaining__lt=F("capacity")
    ),
    seats_remaining=F("seats_remaining") + 1,
)
READ_EVENT = CompiledQuery(lambda: Event.objects.filter(pk=EVENT_ID).order_by())


class Event(models.Model):
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, max_length=LONGEST_DESCRIPTION)
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    show_time = models.DateTimeField("doors open", null=True, blank=True)
    capacity = models.IntegerField(validators=[MinValueValidator(1), MaxValueValidator(LARGEST_CAPACITY)])
    seats_remaining = models.IntegerField(editable=False)
    organizer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="organized_events",
        # The index below begins with it.
        db_index=False,
    )

    objects = EventManager()

    class Meta:
        ordering = ["start_time", "id"]
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
                violation_error_message="The doors must open before the event ends.",
            ),
        ]
        indexes = [
            # The list in its default order, and its start_after and start_before.
            Index(name="event_by_start", fields=["start_time", "id"]),
            # ?organizer=, and the check that protects an organizer from deletion.
            Index(name="event_by_organizer", fields=["organizer", "start_time", "id"]),
            # Ties are in the order of ids both ways, so each way has its own.
            Index(name="event_by_capacity", fields=["capacity", "id"]),
            Index(name="event_by_capacity_down", fields=["-capacity", "id"]),
            # None for seats_remaining: every booking would write to every index of its event's row, where
            # PostgreSQL now writes to none (a HOT update). To sort 100,000 events takes it some ten milliseconds.
            # What search uses is made by the migrations 0003 and 0004, on PostgreSQL alone.
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def reserved(self) -> int:
        """The number of seats that were taken when this event was read."""
        return self.capacity - self.seats_remaining

    def clean(self) -> None:
        """Refuse to create what is over, and a new start long ago; the rest is refused by the constraints."""
        if self._state.adding and self.end_time and self.end_time <= timezone.now():
            raise ValidationError({"end_time": EVENT_IS_OVER})
        unmoved = Event.objects.filter(pk=self.pk, start_time=self.start_time)
        if self.start_time and starts_too_early(self.start_time) and not unmoved.exists():
            raise ValidationError({"start_time": STARTS_TOO_EARLY})

    def save(self, *, update_fields: Collection[str] | None = None, **options: Any) -> None:
        """Write the event, but never its count of seats as it was when the event was read.

        A new event has all its seats. A capacity that is written moves the seats by the same
        difference, by the rule of ``resize``, whose refusal it raises. Raises ValueError for a
        capacity that is not a whole number. An expression is replaced by its value.
        """
        if self._state.adding or self.pk is None:
            self.capacity = self.seats_remaining = whole_number(self.capacity)
            # An event that is there already is not overwritten: it has seats of its own.
            super().save(update_fields=update_fields, **options | {"force_insert": True})
            if isinstance(self.capacity, WholeNumber):
                self.refresh_from_db(fields=["capacity", "seats_remaining"])
            return
        if update_fields is None:
            # As in Django, a field that was never loaded is not written.
            unloaded = self.get_deferred_fields()
            update_fields = [
                field.name
                for field in self._meta.concrete_fields
                if not field.primary_key and field.attname not in unloaded
            ]
        with transaction.atomic():
            if "capacity" in update_fields:
                self.resize(self.capacity)
            super().save(update_fields=set(update_fields) - {"capacity", "seats_remaining"}, **options)

    def delete(self, **options: Any) -> tuple[int, dict[str, int]]:
        """Delete the event, locked before the reservations that go with it."""
        with transaction.atomic():
            for event_id in Event.objects.filter(pk=self.pk).lock():
                log_seats("deleted", event=event_id, seats_left=0)
            return super().delete(**options)

    def lock(self) -> None:
        """Read the event anew and keep its row locked until the transaction ends.

        Raises DoesNotExist if the event was deleted meanwhile, or Unavailable.
        """
        with EVENT_LOCKS.guard(self.pk):
            self.refresh_from_db(from_queryset=Event.objects.locked())

    def resize(self, capacity: int | Expression) -> None:
        """Change the capacity and the seats that remain by the same difference.

        Raises CapacityBelowReserved, ValueError for a value that is not a whole number, or
        DoesNotExist if the event was deleted meanwhile.
        """
        events = Event.objects.filter(pk=self.pk)
        if not events.filter(seats_remaining__gte=F("capacity") - whole_number(capacity)).update(capacity=capacity):
            raise CapacityBelowReserved(events.get().reserved)
        self.refresh_from_db(fields=["capacity", "seats_remaining"])
        log_seats("resized", event=self.pk, seats_left=self.seats_remaining)
