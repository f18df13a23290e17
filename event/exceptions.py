"""The errors for requests that break a rule about events."""

from eventmanagement.refusals import Refusal


class SoldOut(Refusal):
    code = "sold_out"
    message = "This event has no seats left."


class SeatsAvailable(Refusal):
    code = "seats_available"
    message = "This event has free seats. Book one instead of joining the waiting list."


class EventCancelled(Refusal):
    code = "event_cancelled"
    message = "This event was called off."


class EventStarted(Refusal):
    code = "event_started"
    message = "This event has started. Seats can no longer be booked or cancelled."


class CapacityBelowReserved(Refusal):
    code = "capacity_below_reserved"

    def __init__(self, reserved: int) -> None:
        super().__init__(f"The capacity can't be less than the number of reserved seats ({reserved}).")
