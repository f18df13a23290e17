"""The waiting lists of full events: joining, leaving, and how the first people on a list get the freed seats.

The transaction that frees seats turns the oldest places into reservations, under the event's lock, before a seat is
counted as free. So a free seat implies that nobody waits, and a booking needs no further check. Nobody has both a
reservation and a place. A list is in the order of the ids. All code locks the event's row before it changes places, and
locks several events in the order of their ids.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, Count, Exists, F, OuterRef, QuerySet, Subquery, Value, When, Window
from django.db.models.functions import RowNumber
from django.dispatch import receiver

from event.exceptions import EventCancelled, EventStarted, SeatsAvailable
from event.models import NOT_CANCELLED, STARTED, UPCOMING, Event
from event.signals import Handover, Promotion, events_called_off, seats_freed
from eventmanagement.database.errors import Unavailable
from reservation import models
from reservation.booking import BATCH_SIZE, MAX_ATTEMPTS, batches, held_by
from reservation.exceptions import AlreadyLeft, AlreadyReserved, AlreadyWaiting

# Where ``promote`` adds its promotions, within a block of ``collect_promotions``.
_COLLECTED: ContextVar[dict[int, list[Promotion]] | None] = ContextVar("collected promotions", default=None)


def join(user: User, event_id: int) -> "models.WaitlistEntry":
    """Add the user to the end of the event's waiting list. The place has its ``position``, and its event.

    Raises AlreadyReserved, AlreadyWaiting, EventCancelled, EventStarted, SeatsAvailable or Event.DoesNotExist; the
    first two take precedence, as for a booking. Raises Unavailable if the event's row stays locked, or after
    MAX_ATTEMPTS attempts in which the reason against joining disappeared before it could be read.
    """
    for _ in range(MAX_ATTEMPTS):
        # Without a lock, so that a refusal neither waits nor writes.
        reasons_against_joining(user.pk, event_id).raise_first()
        try:
            return models.WaitlistEntry.objects.create(user=user, event_id=event_id)
        except (EventCancelled, EventStarted, SeatsAvailable):
            # The event changed after the check. Check again, because another reason may take precedence.
            continue
    raise Unavailable(f"the waiting list of event {event_id} could not be joined in {MAX_ATTEMPTS} attempts")


class ReasonsAgainstJoining(NamedTuple):
    """The possible reasons against joining a waiting list.

    ``held`` is the id of the user's reservation, and ``place`` that of the user's place on the list, or None.
    """

    held: int | None
    place: int | None
    cancelled_at: datetime | None
    has_started: bool
    seats_remaining: int

    def raise_first(self) -> None:
        """Raise the first reason against joining, if there is one."""
        self.raise_if_already_in()
        if self.cancelled_at is not None:
            raise EventCancelled
        if self.has_started:
            raise EventStarted
        if self.seats_remaining > 0:
            raise SeatsAvailable

    def raise_if_already_in(self) -> None:
        """Raise AlreadyReserved or AlreadyWaiting if the user has a seat or a place."""
        if self.held is not None:
            raise AlreadyReserved(self.held)
        if self.place is not None:
            raise AlreadyWaiting(self.place)


def reasons_against_joining(user_id: int, event_id: int) -> ReasonsAgainstJoining:
    """Read the possible reasons against joining this event's list for this user. Raises Event.DoesNotExist."""
    held, place = (Subquery(rows.values("pk")[:1]) for rows in (held_by(user_id), _place_of(user_id)))
    state = Event.objects.filter(pk=event_id).order_by().annotate(held=held, place=place, has_started=STARTED)
    return ReasonsAgainstJoining(*state.values_list(*ReasonsAgainstJoining._fields).get())


def _place_of(user_id: int) -> "QuerySet[models.WaitlistEntry]":
    """Return the subquery for the user's place at the outer query's event. See ``held_by`` for ``event_id + 0``."""
    return models.WaitlistEntry.objects.alias(at=F("event_id") + 0).filter(user=user_id, at=OuterRef("pk")).order_by()


def set_positions(places: "Sequence[models.WaitlistEntry]") -> None:
    """Set the ``position`` of each of these places, for example those of a page, with one query.

    Counts the people between each place and the one before it in ``places``, separately for each event. So each waiting
    list is read once, up to the last of these places. ``with_positions`` would read it once for each place. The
    position of a place that no longer exists is None.
    """
    after: dict[int, int] = {}
    last: dict[int, int] = {}
    for place in sorted(places, key=lambda place: place.pk):
        after[place.pk] = last.get(place.event_id, 0)
        last[place.event_id] = place.pk
    if not after:
        return
    line = models.WaitlistEntry.objects.filter(
        event=OuterRef("event"), pk__gt=OuterRef("after"), pk__lte=OuterRef("pk")
    )
    number = Subquery(line.order_by().values("event").annotate(number=Count("pk")).values("number"))
    rows = models.WaitlistEntry.objects.filter(pk__in=after).order_by("pk")
    rows = rows.annotate(after=Case(*(When(pk=pk, then=Value(previous)) for pk, previous in after.items())))
    positions: dict[int, int] = {}
    ahead: Counter[int] = Counter()
    for pk, event_id, people in rows.annotate(people=number).values_list("pk", "event_id", "people"):
        ahead[event_id] += people
        positions[pk] = ahead[event_id]
    for place in places:
        place.position = positions.get(place.pk)  # type: ignore[assignment]  # None only here.


def leave(entry_id: int | None) -> None:
    """Delete a place on a waiting list, even if the event has started.

    Raises AlreadyLeft if the place no longer exists, for example because it became a reservation, or Unavailable if
    the event's row stays locked.
    """
    place = models.WaitlistEntry.objects.filter(pk=entry_id)  # type: ignore[misc]  # None finds nothing.
    try:
        with transaction.atomic():
            # Read the event from the database: the attributes of an instance may have been changed.
            event_id = place.values_list("event_id", flat=True).get()
            Event.objects.remove_waiting(event_id)
            if not _delete(place.filter(event=event_id)):
                # The exception rolls the transaction back, and with it remove_waiting.
                raise AlreadyLeft
    except models.WaitlistEntry.DoesNotExist:
        raise AlreadyLeft from None


def remove(places: "QuerySet[models.WaitlistEntry]") -> tuple[int, dict[str, int]]:
    """Delete the places, after locking their events in the order of their ids.

    Lowers each event's count by the rows that this transaction deleted, even if the event has started. Returns the
    same as Django's ``QuerySet.delete()``.
    """
    with transaction.atomic():
        found = dict(places.values_list("pk", "event_id"))
        for event_ids in batches(sorted({*found.values()})):
            Event.objects.filter(pk__in=event_ids).lock()
        count = sum(_remove(batch, {found[pk] for pk in batch}) for batch in batches(sorted(found)))
        deleted = Counter({models.WaitlistEntry._meta.label: count})
    return deleted.total(), dict(+deleted)


def _remove(entry_ids: list[int], event_ids: set[int]) -> int:
    """Delete the places of these events that still exist. The caller must hold the locks of the events."""
    # The row locks make sure that exactly these rows are deleted below.
    rows = models.WaitlistEntry.objects.filter(pk__in=entry_ids, event__in=event_ids).order_by("event_id", "pk")
    current = dict(rows.select_for_update().values_list("pk", "event_id"))
    Event.objects.remove_all_waiting(Counter(current.values()))
    return _delete(models.WaitlistEntry.objects.filter(pk__in=list(current)))


@receiver(events_called_off, sender=Event)
def remove_lists(event_ids: list[int], **kwargs: Any) -> None:
    """Remove the waiting lists of these events, whose ``waiting`` is 0. The caller holds the locks of the events."""
    for batch in batches(event_ids):
        _delete(models.WaitlistEntry.objects.filter(event__in=batch))


@receiver(seats_freed, sender=Event)
def promote(seats: Mapping[int, int], **kwargs: Any) -> dict[int, Handover]:
    """Give the freed seats of these events to the first people on their waiting lists.

    The caller holds the locks of the events. These statements begin after that, so they see the current lists. The
    places become reservations. A place of a user who has a seat is only removed, and the next person gets the seat. If
    an event is over or was called off, its list is removed instead. The number of statements grows with the batches of
    BATCH_SIZE seats, not with the number of people. Like every ``bulk_create``, this sends no ``post_save``.
    """
    left = _open_with_waiting_list(seats)
    promoted: dict[int, list[Promotion]] = defaultdict(list)
    closed: Counter[int] = Counter()
    while left:
        asked = _one_batch(left)
        places = _first_in_line(asked)
        for reservation in _convert(places):
            promoted[reservation.event_id].append(Promotion(reservation.pk, reservation.user_id))
            left[reservation.event_id] -= 1
        found = Counter(place.event_id for place in places)
        closed.update(found)
        for event_id, number in asked.items():
            # With fewer places than asked for, this was the end of the list.
            if not left[event_id] or found[event_id] < number:
                del left[event_id]
    collected = _COLLECTED.get()
    if collected is not None:
        for event_id, promotions in promoted.items():
            collected.setdefault(event_id, []).extend(promotions)
    return {event_id: Handover(promoted[event_id], closed[event_id]) for event_id in closed}


@contextmanager
def collect_promotions() -> Iterator[dict[int, list[Promotion]]]:
    """Collect the promotions of this thread within the block, by the event's id. A rollback does not remove them."""
    collected: dict[int, list[Promotion]] = {}
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)


def _open_with_waiting_list(seats: Mapping[int, int]) -> dict[int, int]:
    """Return the events, with their freed seats, that have a waiting list.

    Remove the lists of events that are over or were called off.
    """
    line = models.WaitlistEntry.objects.filter(event=OuterRef("pk"))
    is_open = UPCOMING & NOT_CANCELLED
    still_open: dict[int, int] = {}
    for event_ids in batches(sorted(seats)):
        events = Event.objects.filter(Exists(line), pk__in=event_ids).order_by("pk").annotate(is_open=is_open)
        found = dict(events.values_list("pk", "is_open"))
        still_open |= {event_id: seats[event_id] for event_id, is_open in found.items() if is_open}
        if closed := found.keys() - still_open.keys():
            _delete(models.WaitlistEntry.objects.filter(event__in=closed))
    return still_open


def _one_batch(seats: Mapping[int, int]) -> dict[int, int]:
    """Return the first of these events, with up to BATCH_SIZE of their seats together."""
    batch: dict[int, int] = {}
    room = BATCH_SIZE
    for event_id, number in seats.items():
        batch[event_id] = min(number, room)
        room -= batch[event_id]
        if not room:
            break
    return batch


def _first_in_line(numbers: Mapping[int, int]) -> "list[models.WaitlistEntry]":
    """Return this many of the oldest places of each event, in order."""
    places = models.WaitlistEntry.objects.order_by("pk")
    if len(numbers) == 1:
        # The limit reads the index only as far as needed, however long the list is.
        [(event_id, number)] = numbers.items()
        return list(places.filter(event=event_id)[:number])
    by_number = defaultdict(list)
    for event_id, number in numbers.items():
        by_number[number].append(event_id)
    rank = Window(RowNumber(), partition_by="event_id", order_by="pk")
    return [
        place
        for number, event_ids in by_number.items()
        for place in places.filter(event__in=event_ids).annotate(rank=rank).filter(rank__lte=number)
    ]


def _convert(places: "Iterable[models.WaitlistEntry]") -> "list[models.Reservation]":
    """Turn the places into reservations. A place of a user who has a seat at the event is only removed."""
    event_ids, user_ids = ({getattr(place, each) for place in places} for each in ("event_id", "user_id"))
    held = models.Reservation.objects.filter(event__in=event_ids, user__in=user_ids)
    holders = set(held.order_by().values_list("event_id", "user_id"))
    reservations = QuerySet.bulk_create(
        models.Reservation.objects.all(),
        [
            models.Reservation(event_id=place.event_id, user_id=place.user_id, from_waitlist=True)
            for place in places
            if (place.event_id, place.user_id) not in holders
        ],
    )
    _delete(models.WaitlistEntry.objects.filter(pk__in=[place.pk for place in places]))
    return reservations


def _delete(places: "QuerySet[models.WaitlistEntry]") -> int:
    """Delete rows. The caller must lower ``waiting`` by as many as this returns."""
    deleted, _ = QuerySet.delete(places)
    return deleted
