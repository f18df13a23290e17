"""The ways an event says no."""

from eventmanagement.api.exceptions import Refusal


class SoldOut(Refusal):
    default_detail = "This event has no seats left."
    default_code = "sold_out"


class EventStarted(Refusal):
    default_detail = "This event has started: its seats can be neither booked nor cancelled any more."
    default_code = "event_started"


class CapacityBelowReserved(Refusal):
    default_code = "capacity_below_reserved"

    def __init__(self, reserved: int) -> None:
        super().__init__(f"The capacity can't be less than the number of seats already reserved, {reserved}.")
