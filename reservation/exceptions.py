"""Why a booking or a cancellation is refused, besides the reasons of its event."""

from eventmanagement.refusals import Refusal


class AlreadyReserved(Refusal):
    """Carries the id of the user's reservation, for a client that lost the response to its booking."""

    code = "already_reserved"
    message = "You already have a seat at this event."

    def __init__(self, reservation_id: int) -> None:
        super().__init__(reservation=reservation_id)


class AlreadyCancelled(Exception):
    """The reservation is gone: another request has cancelled it."""
