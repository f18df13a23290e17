"""The journal of the seat ledger: one log line for each change of an event's seats."""

import logging
from functools import partial

from django.db import transaction

from event.signals import Freed

logger = logging.getLogger("event.seats")


def log_seats(
    movement: str,
    *,
    event: int,
    seats_left: int,
    user: int | None = None,
    reservation: int | None = None,
    by: int | None = None,
) -> None:
    """Log one change of an event's seats after the transaction has committed. Logs nothing after a rollback.

    ``movement`` is "taken", "promoted" (taken from the waiting list) or "returned" for a reservation, and "resized",
    "repaired", "called_off" or "deleted" for an event. ``by`` is the id of the organizer, if the organizer has taken
    the seat back from the user. For every event that was not deleted, the reservations that were taken or promoted and
    not returned are the current ones. The lines of two transactions may be in a different order than their commits;
    match them by reservation id.
    """
    line = {"movement": movement, "event": event, "seats_left": seats_left, "user": user, "reservation": reservation}
    if by is not None:
        line["by"] = by
    transaction.on_commit(
        partial(logger.info, "event %s: %s, %s seats left", event, movement, seats_left, extra=line), robust=True
    )


def log_promotions(event_id: int, freed: Freed) -> None:
    """Log each person who got one of the freed seats from the waiting list, with the seats left after that."""
    for number, promotion in enumerate(freed.promoted, 1):
        log_seats(
            "promoted",
            event=event_id,
            seats_left=freed.seats_before_promotions - number,
            user=promotion.user,
            reservation=promotion.reservation,
        )
