"""The journal of the seat ledger: one log line for each change of an event's seats."""

import logging
from functools import partial

from django.db import transaction

logger = logging.getLogger("event.seats")


def log_seats(
    movement: str, *, event: int, seats_left: int, user: int | None = None, reservation: int | None = None
) -> None:
    """Log one change of an event's seats after the transaction has committed. Logs nothing after a rollback.

    ``movement`` is "taken" or "returned" for a reservation, and "resized", "repaired" or "deleted" for an event.
    For every event that was not deleted, the reservations that were taken and not returned are the current ones.
    The lines of two transactions may be in a different order than their commits; match them by reservation id.
    """
    line = {"movement": movement, "event": event, "seats_left": seats_left, "user": user, "reservation": reservation}
    transaction.on_commit(
        partial(logger.info, "event %s: %s, %s seats left", event, movement, seats_left, extra=line), robust=True
    )
