"""The journal of the seat ledger: one log line for each movement of seats."""

import logging
from functools import partial

from django.db import transaction

logger = logging.getLogger("event.seats")


def log_seats(
    movement: str, *, event: int, seats_left: int, user: int | None = None, reservation: int | None = None
) -> None:
    """Write one line to the journal when the transaction commits.

    A reservation is taken or returned; an event is resized, repaired or deleted. Seats that were taken and not
    returned are reserved, unless their event was deleted. Lines are written after the commit, so two transactions
    may write theirs in either order: the reservation's id tells which lines belong together.
    """
    line = {"movement": movement, "event": event, "seats_left": seats_left, "user": user, "reservation": reservation}
    transaction.on_commit(
        partial(logger.info, "event %s: %s, %s seats left", event, movement, seats_left, extra=line), robust=True
    )
