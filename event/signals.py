"""The signals with which the ledger offers freed seats to the waiting list, and ends waiting lists."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.dispatch import Signal

# Sent when seats of events are freed, before they are counted as free. ``seats`` has the number of freed seats of each
# event, by its id. The sender's transaction holds the locks of these events. The receiver may give the seats to people
# and insert their reservations. It returns a ``Handover`` for each event whose waiting list it changed, by the event's
# id.
#
# This is a signal because the event app does not know reservations and waiting lists. It is sent inside the
# transaction: if the receiver fails, the seats are not freed. It may have one receiver, because each seat can be given
# away only once.
seats_freed = Signal()

# Sent when events have been called off. ``event_ids`` are their ids. The sender's transaction holds the locks of these
# events, and has set their ``waiting`` to 0, so a receiver must remove their waiting lists. If a receiver fails, the
# events are not called off. Unlike ``seats_freed``, this signal gives nothing away, so it may have several receivers.
events_called_off = Signal()


class Promotion(NamedTuple):
    """A person who got a freed seat from the waiting list. Both are ids."""

    reservation: int
    user: int


class Handover(NamedTuple):
    """What happened to the freed seats of one event.

    ``promoted`` are the new reservations, in the order of the waiting list. ``closed`` is the number of places that
    were removed from the list: those of the promoted people, and invalid ones. If fewer people were promoted than
    seats were freed, the list is empty now.
    """

    promoted: Sequence[Promotion] = ()
    closed: int = 0


class Freed(NamedTuple):
    """The free seats of one event after seats were freed, and the people who got a seat from the waiting list."""

    seats_left: int
    promoted: Sequence[Promotion] = ()

    @property
    def seats_before_promotions(self) -> int:
        return self.seats_left + len(self.promoted)


def hand_over(sender: type, seats: Mapping[int, int]) -> dict[int, Handover]:
    """Offer the freed seats of each event to the waiting list. Returns what happened to them, by the event's id."""
    responses: list[Any] = seats_freed.send(sender, seats=seats) if seats else []
    handovers: dict[int, Handover] = {}
    if responses:
        [(_, handovers)] = responses
    return handovers
