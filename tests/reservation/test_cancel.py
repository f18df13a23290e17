import pytest

from event.models import Event
from reservation.exceptions import AlreadyCancelled
from reservation.models import Reservation
from reservation.views import ReservationViewSet
from tests.ledger import assert_balanced, begin, seats_left


def test_cancelling_frees_the_seat(as_user, bob, routes, event, reservation):
    response = as_user(bob).delete(routes.reservation(reservation))

    assert response.status_code == 204
    assert response.content == b""
    assert seats_left(event) == 10
    assert not Reservation.objects.exists()


def test_freed_seat_can_be_booked_again(as_user, bob, routes, event, reservation):
    as_user(bob).delete(routes.reservation(reservation))

    assert as_user(bob).post(routes.reservations, {"event_id": event.pk}).status_code == 201
    assert_balanced()


def test_cancelling_twice_frees_one_seat(as_user, bob, routes, event, reservation):
    as_user(bob).delete(routes.reservation(reservation))

    response = as_user(bob).delete(routes.reservation(reservation))

    assert response.status_code == 404
    assert seats_left(event) == 10


def cancel_first(reservation):
    Reservation.objects.get(pk=reservation.pk).cancel()


def delete_event_first(reservation):
    Event.objects.filter(pk=reservation.event_id).delete()


@pytest.mark.parametrize("somebody_faster", [cancel_first, delete_event_first])
def test_concurrently_deleted_reservation_is_404(
    as_user, bob, carol, routes, event, reservation, monkeypatch, somebody_faster
):
    Reservation.objects.book(user=carol, event_id=event.pk)
    cancel = ReservationViewSet.perform_destroy

    def too_late(view, reservation):
        somebody_faster(reservation)
        cancel(view, reservation)

    monkeypatch.setattr(ReservationViewSet, "perform_destroy", too_late)

    response = as_user(bob).delete(routes.reservation(reservation))

    assert response.status_code == 404
    assert_balanced()


def test_started_event_keeps_its_seats(as_user, bob, routes, event, reservation):
    begin(event)

    response = as_user(bob).delete(routes.reservation(reservation))

    assert response.status_code == 400
    assert response.json()["code"] == "event_started"
    assert seats_left(event) == 9
    assert Reservation.objects.exists()


def test_nobody_signed_in_is_refused(api, routes, reservation):
    assert api.delete(routes.reservation(reservation)).status_code == 401


@pytest.mark.parametrize("person", ["alice", "carol"])
def test_other_users_reservation_is_404(as_user, request, routes, event, reservation, person):
    response = as_user(request.getfixturevalue(person)).delete(routes.reservation(reservation))

    assert response.status_code == 404
    assert seats_left(event) == 9


def test_second_cancellation_of_only_seat_is_404(event, reservation):
    again = Reservation.objects.get()
    reservation.cancel()

    for gone in (reservation, again):
        with pytest.raises(AlreadyCancelled):
            gone.cancel()

    assert seats_left(event) == 10
