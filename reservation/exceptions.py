"""The errors for requests that break a rule about reservations. See also event/exceptions.py."""

from eventmanagement.refusals import Refusal


class AlreadyReserved(Refusal):
    """Contains the id of the existing reservation, for a client that did not receive the response to its booking."""

    code = "already_reserved"
    message = "You already have a seat at this event."

    def __init__(self, reservation_id: int) -> None:
        super().__init__(reservation=reservation_id)


class AlreadyWaiting(Refusal):
    """Contains the id of the existing place, for a client that joined and did not receive the response."""

    code = "already_waiting"
    message = "You are already on the waiting list of this event."

    def __init__(self, entry_id: int) -> None:
        super().__init__(waitlist_entry=entry_id)


class CheckedIn(Refusal):
    code = "checked_in"
    message = "You are checked in at this event. Ask the organizer to take the seat back."


class AlreadyCancelled(Exception):
    """The reservation no longer exists: another request has cancelled it."""


class AlreadyLeft(Exception):
    """The place on the waiting list no longer exists: it was removed, or became a reservation."""
