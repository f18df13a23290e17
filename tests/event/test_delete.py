from event.models import Event
from reservation.models import Reservation
from tests.ledger import assert_balanced


def test_reservations_go_with_the_event(as_user, alice, bob, routes, event, event_of):
    other = event_of(alice)
    Reservation.objects.book(user=bob, event_id=event.pk)
    kept = Reservation.objects.book(user=bob, event_id=other.pk)

    response = as_user(alice).delete(routes.event(event))

    assert response.status_code == 204
    assert response.content == b""
    assert list(Event.objects.all()) == [other]
    assert list(Reservation.objects.all()) == [kept]
    assert_balanced()


def test_deleted_event_is_404(as_user, alice, routes, event):
    as_user(alice).delete(routes.event(event))

    assert as_user(alice).delete(routes.event(event)).status_code == 404
    assert as_user(alice).get(routes.event(event)).status_code == 404
