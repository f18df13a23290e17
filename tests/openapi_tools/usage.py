"""Uses the generated Python client from sign-up to a refused booking, against a running server."""

import os
from datetime import UTC, datetime

from client import AuthenticatedClient, Client
from client.api.authentication import login, signup
from client.api.events import event_attendee_remove, event_cancel, event_check_in, event_create, event_list
from client.api.reservations import reservation_cancel, reservation_create
from client.models import (
    Account,
    AlreadyReservedError,
    Attendee,
    CancellationRequest,
    CheckedInError,
    CheckInRequest,
    CredentialsRequest,
    Event,
    EventListAvailable,
    EventPage,
    EventRequest,
    FieldErrors,
    Reservation,
    ReservationRequest,
    SignupRequest,
    Token,
)

API = os.environ["API"]
USERNAME, PASSWORD = "python", "correct-horse-battery"


def main() -> None:
    anonymous = Client(base_url=API, raise_on_unexpected_status=True)
    account = signup.sync(client=anonymous, body=SignupRequest(username=USERNAME, password=PASSWORD))
    assert isinstance(account, Account)
    assert account.email == ""
    token = login.sync(client=anonymous, body=CredentialsRequest(username=USERNAME, password=PASSWORD))
    assert isinstance(token, Token)

    client = AuthenticatedClient(base_url=API, token=token.token, prefix="Token", raise_on_unexpected_status=True)
    event = event_create.sync(
        client=client,
        body=EventRequest(
            title="Poetry",
            capacity=2,
            start_time=datetime(2040, 5, 1, 19, tzinfo=UTC),
            end_time=datetime(2040, 5, 1, 21, tzinfo=UTC),
        ),
    )
    assert isinstance(event, Event)
    assert event.show_time is None
    page = event_list.sync(client=anonymous, search="poetry", available=EventListAvailable.TRUE)
    assert isinstance(page, EventPage)
    assert [found.id for found in page.results] == [event.id]

    reservation = reservation_create.sync(client=client, body=ReservationRequest(event_id=event.id))
    assert isinstance(reservation, Reservation)
    again = reservation_create.sync(client=client, body=ReservationRequest(event_id=event.id))
    assert isinstance(again, AlreadyReservedError)
    assert again.reservation == reservation.id
    missing = reservation_create.sync(client=client, body=ReservationRequest(event_id=0))
    assert isinstance(missing, FieldErrors)
    assert missing["event_id"] == ["There is no event with this id."]
    attendee = event_check_in.sync(event.id, client=client, body=CheckInRequest(reservation=reservation.id))
    assert isinstance(attendee, Attendee)
    assert attendee.checked_in_at
    assert isinstance(reservation_cancel.sync(reservation.id, client=client), CheckedInError)
    assert event_attendee_remove.sync_detailed(event.id, reservation.id, client=client).status_code == 204
    again = reservation_create.sync(client=client, body=ReservationRequest(event_id=event.id))
    assert isinstance(again, Reservation)
    assert reservation_cancel.sync_detailed(again.id, client=client).status_code == 204
    called_off = event_cancel.sync(event.id, client=client, body=CancellationRequest(reason="Rain"))
    assert isinstance(called_off, Event)
    assert called_off.cancellation_reason == "Rain"
    print("The Python client works.")


main()
