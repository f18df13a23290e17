import pytest

from event.models import Event
from reservation.models import Reservation


@pytest.fixture
def two_seats(alice, bob, carol, event, event_of):
    """Reservations of Bob for two events, and of Carol for one of them."""
    second = event_of(alice, title="Second")
    Reservation.objects.book(user=carol, event_id=event.pk)
    return [Reservation.objects.book(user=bob, event_id=pk) for pk in (second.pk, event.pk)]


def ids(response):
    assert response.status_code == 200
    return [reservation["id"] for reservation in response.json()["results"]]


def test_person_sees_their_own(as_user, bob, routes, two_seats):
    response = as_user(bob).get(routes.reservations)

    assert ids(response) == [reservation.pk for reservation in two_seats]
    assert response.json()["count"] == 2
    assert response.json()["results"][0] == as_user(bob).get(routes.reservation(two_seats[0])).json()
    assert response.json()["results"][0]["event"]["title"] == "Second"


def test_reservations_are_found_by_event(as_user, bob, routes, event, two_seats):
    assert ids(as_user(bob).get(routes.reservations, {"event": event.pk})) == [two_seats[1].pk]
    assert ids(as_user(bob).get(routes.reservations, {"event": 2**63 - 1})) == []


@pytest.mark.parametrize("value", ["x", "1.5", "%00", "9" * 5000, "9223372036854775808"])
def test_bad_event_is_refused_on_its_field(as_user, bob, routes, value):
    response = as_user(bob).get(f"{routes.reservations}?event={value}")

    assert response.status_code == 400
    assert list(response.json()) == ["event"]


def test_nobody_signed_in_is_refused(api, routes, two_seats):
    assert api.get(routes.reservations).status_code == 401
    assert api.get(routes.reservation(two_seats[0])).status_code == 401


@pytest.mark.parametrize("person", ["alice", "carol"])
def test_other_users_reservation_is_404(as_user, request, routes, two_seats, person):
    response = as_user(request.getfixturevalue(person)).get(routes.reservation(two_seats[0]))

    assert response.status_code == 404


@pytest.mark.parametrize("reservation_id", [0, 99, 2**63, 10**30, "x", "9" * 5000])
def test_missing_reservation_is_404(as_user, bob, routes, reservation_id):
    assert as_user(bob).get(routes.reservation(reservation_id)).status_code == 404


def test_organizer_sees_who_attends(as_user, alice, bob, routes, event, two_seats):
    response = as_user(alice).get(routes.attendees(event))

    first, second = Reservation.objects.filter(event=event)
    assert response.status_code == 200
    assert response.json() == {
        "count": 2,
        "next": None,
        "previous": None,
        "results": [
            {
                "id": row.pk,
                "user": name,
                "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
                "from_waitlist": False,
                "checked_in_at": None,
            }
            for row, name in ((first, "carol"), (second, "bob"))
        ],
    }


def test_attendees_come_in_pages(as_user, alice, people, routes, event):
    for person in people(3):
        Reservation.objects.book(user=person, event_id=event.pk)

    response = as_user(alice).get(routes.attendees(event), {"page_size": 2}).json()

    assert (response["count"], len(response["results"])) == (3, 2)


def test_only_organizer_sees_attendees(api, as_user, bob, routes, event, two_seats):
    assert api.get(routes.attendees(event)).status_code == 401
    assert as_user(bob).get(routes.attendees(event)).status_code == 403


@pytest.mark.parametrize("event_id", [0, 99, 2**63, "x"])
def test_attendees_of_an_event_that_is_not_there(as_user, alice, routes, event_id):
    assert as_user(alice).get(routes.attendees(event_id)).status_code == 404


@pytest.mark.parametrize(
    ("address", "queries"),
    # The queries for the token, the event (if needed), the count and the page.
    [("reservations", 3), ("attendees", 4)],
)
def test_queries_do_not_grow_with_the_rows(
    as_user, alice, people, event, event_of, routes, address, queries, django_assert_num_queries
):
    address = routes.reservations if address == "reservations" else routes.attendees(event)
    client = as_user(alice)
    Reservation.objects.book(user=alice, event_id=event.pk)
    with django_assert_num_queries(queries):
        assert client.get(address).json()["count"] == 1

    for organizer in people(3):
        Reservation.objects.book(user=organizer, event_id=event.pk)
        Reservation.objects.book(user=alice, event_id=event_of(organizer).pk)
    with django_assert_num_queries(queries):
        assert client.get(address).json()["count"] == 4
    assert Event.objects.count() == 4
