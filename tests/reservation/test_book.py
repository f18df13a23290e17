import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from event.models import Event
from eventmanagement.database.errors import Unavailable, violates
from reservation import booking
from reservation.models import Reservation, ReservationManager
from tests.ledger import assert_balanced, begin, seats_left, sell_out

pytestmark = pytest.mark.usefixtures("either_body")


def test_booking_takes_a_seat(as_user, bob, routes, event):
    response = as_user(bob).post(routes.reservations, {"event_id": event.pk})

    reservation = Reservation.objects.get()
    assert response.status_code == 201
    assert response.json() == {
        "id": reservation.pk,
        "event": as_user(bob).get(routes.event(event)).json(),
        "user": "bob",
        "created_at": reservation.created_at.isoformat().replace("+00:00", "Z"),
        "from_waitlist": False,
        "checked_in_at": None,
    }
    assert response.json()["event"]["seats_remaining"] == 9
    assert_balanced()


def test_booking_takes_a_form(as_user, bob, routes, event):
    response = as_user(bob).post(routes.reservations, {"event_id": event.pk}, format="multipart")

    assert response.status_code == 201


def test_nobody_signed_in_is_refused(api, routes, event):
    response = api.post(routes.reservations, {"event_id": event.pk})

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"
    assert seats_left(event) == 10


def test_read_only_fields_are_ignored(as_user, bob, carol, routes, event):
    response = as_user(bob).post(
        routes.reservations, {"event_id": event.pk, "user": carol.pk, "id": 77, "checked_in_at": "x"}
    )

    assert response.status_code == 201
    assert response.json()["user"] == "bob"
    assert response.json()["id"] != 77
    assert response.json()["checked_in_at"] is None


def test_organizer_may_attend(as_user, alice, routes, event):
    assert as_user(alice).post(routes.reservations, {"event_id": event.pk}).status_code == 201


def test_sold_out_event_is_refused(as_user, bob, routes, event):
    sell_out(event)

    response = as_user(bob).post(routes.reservations, {"event_id": event.pk})

    assert response.status_code == 400
    assert response.json() == {"detail": "This event has no seats left.", "code": "sold_out"}
    assert not Reservation.objects.exists()


def test_second_seat_is_refused_and_names_the_first(as_user, bob, routes, event):
    first = as_user(bob).post(routes.reservations, {"event_id": event.pk}).json()

    response = as_user(bob).post(routes.reservations, {"event_id": event.pk})

    assert response.status_code == 400
    assert response.json() == {
        "detail": "You already have a seat at this event.",
        "code": "already_reserved",
        "reservation": first["id"],
    }
    assert seats_left(event) == 9


@pytest.mark.parametrize("closed", [sell_out, begin])
def test_lost_response_can_be_recovered(as_user, bob, routes, event, closed):
    first = as_user(bob).post(routes.reservations, {"event_id": event.pk}).json()
    closed(event)

    response = as_user(bob).post(routes.reservations, {"event_id": event.pk})

    assert response.json()["code"] == "already_reserved"
    assert response.json()["reservation"] == first["id"]


def test_started_event_is_refused(as_user, bob, routes, event):
    begin(event)

    response = as_user(bob).post(routes.reservations, {"event_id": event.pk})

    assert response.status_code == 400
    assert response.json() == {
        "detail": "This event has started. Seats can no longer be booked or cancelled.",
        "code": "event_started",
    }
    assert seats_left(event) == 10


def test_event_started_precedes_sold_out(as_user, bob, routes, event):
    begin(event)
    sell_out(event)

    assert as_user(bob).post(routes.reservations, {"event_id": event.pk}).json()["code"] == "event_started"


@pytest.mark.parametrize("event_id", [99, 0, -1, 2**63, 10**30])
def test_missing_event_is_refused(as_user, bob, routes, event_id):
    response = as_user(bob).post(routes.reservations, {"event_id": event_id})

    assert response.status_code == 400
    assert response.json() == {"event_id": ["There is no event with this id."]}


@pytest.mark.parametrize("body", [{}, {"event_id": None}, {"event_id": "x"}, {"event_id": [1]}, {"event_id": True}])
def test_bad_values_are_refused_on_their_field(as_user, bob, routes, event, body):
    response = as_user(bob).post(routes.reservations, body)

    assert response.status_code == 400
    assert list(response.json()) == ["event_id"]
    assert seats_left(event) == 10


def test_concurrently_deleted_account_is_401(as_user, bob, routes, event, monkeypatch):
    book = ReservationManager.book

    def delete_bob_first(manager, *, user, event_id):
        type(user).objects.get(pk=user.pk).delete()
        # A deferred foreign key is only checked at the end of the test's transaction, so check it here.
        with transaction.atomic():
            reservation = book(manager, user=user, event_id=event_id)
            transaction.get_connection().check_constraints()
            return reservation

    monkeypatch.setattr(ReservationManager, "book", delete_bob_first)

    response = as_user(bob).post(routes.reservations, {"event_id": event.pk})

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"
    assert seats_left(event) == 10


def test_database_refuses_a_second_row_by_name(bob, event):
    Reservation.objects.book(user=bob, event_id=event.pk)

    with pytest.raises(IntegrityError) as refusal:
        Reservation.objects.create(user=bob, event_id=event.pk)

    assert violates(refusal.value, Reservation, "reservation_once_per_user_and_event")
    assert not violates(refusal.value, Event, "event_seats_are_not_oversold")
    assert_balanced()


def test_str_has_user_and_event(bob, event):
    assert str(Reservation.objects.book(user=bob, event_id=event.pk)) == "bob at Concert"


def test_seat_freed_since_it_was_refused_is_booked(bob, event, monkeypatch):
    try_to_book, tries = booking.body(), []

    def refuse_first(user, event_id):
        tries.append(event_id)
        return try_to_book(user, event_id) if len(tries) > 1 else None

    monkeypatch.setattr(booking, "body", lambda: refuse_first)

    Reservation.objects.book(user=bob, event_id=event.pk)

    assert seats_left(event) == 9
    assert_balanced()


def test_booking_attempts_are_limited(as_user, bob, routes, event, monkeypatch):
    tries = []
    monkeypatch.setattr(booking, "body", lambda: lambda user, event_id: tries.append(event_id))

    response = as_user(bob).post(routes.reservations, {"event_id": event.pk})

    assert response.status_code == 503
    assert response.json()["code"] == "unavailable"
    assert len(tries) == booking.MAX_ATTEMPTS
    assert seats_left(event) == 10


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another")
@pytest.mark.django_db(transaction=True)
def test_invisible_row_ends_in_unavailable(bob, event):
    """In a REPEATABLE READ transaction, the snapshot can be older than the row that violates the constraint."""
    other = connection.copy()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1 FROM event_event")
        with other.cursor() as past_the_ledger:
            past_the_ledger.execute(
                "INSERT INTO reservation_reservation (event_id, user_id, created_at) VALUES (%s, %s, now())",
                [event.pk, bob.pk],
            )
        other.close()
        with CaptureQueriesContext(connection) as queries, pytest.raises(Unavailable):
            Reservation.objects.book(user=bob, event_id=event.pk)

    assert sum("INSERT INTO" in query["sql"] for query in queries) == booking.MAX_ATTEMPTS
    assert seats_left(event) == 10


@pytest.mark.django_db(transaction=True)
def test_other_database_errors_are_raised(event):
    with pytest.raises(IntegrityError):
        Reservation.objects.book(user=User(pk=99), event_id=event.pk)

    assert seats_left(event) == 10
