"""The ways a reservation says no, beside those of its event."""

from rest_framework.exceptions import NotFound

from eventmanagement.api.exceptions import Refusal


class AlreadyReserved(Refusal):
    """Carries the id of the reservation that is held, for a client that lost the answer to it."""

    default_detail = "You already hold a seat at this event."
    default_code = "already_reserved"

    def __init__(self, reservation_id: int) -> None:
        super().__init__(reservation=reservation_id)


class AlreadyCancelled(NotFound):
    """Somebody was faster: to this request the reservation is not there any more."""
