"""The waiting list through the API: joining, looking, leaving, and getting a seat."""

import pytest
from django.contrib.auth.models import User

from event.exceptions import SeatsAvailable
from event.models import Event, EventManager
from eventmanagement.database.errors import Unavailable
from reservation.booking import MAX_ATTEMPTS
from reservation.models import Reservation, WaitlistEntry
from tests.ledger import assert_balanced, begin, book, finish, holders, line, wait


@pytest.fixture
def full(alice, carol, event_of):
    """Alice's event with one seat, which Carol has."""
    full = event_of(alice, title="Full", capacity=1)
    book(full, carol)
    return full


@pytest.fixture
def place(bob, full):
    """Bob's place on the waiting list, the only one."""
    return wait(full, bob)[0]


@pytest.fixture
def join(as_user, routes):
    return lambda person, event: as_user(person).post(routes.places, {"event_id": getattr(event, "pk", event)})


def test_joining_adds_to_the_end_of_the_list(api, join, routes, bob, full, people):
    wait(full, *people(2))

    response = join(bob, full)

    place = WaitlistEntry.objects.get(user=bob)
    assert response.status_code == 201
    assert response.json() == {
        "id": place.pk,
        "event": api.get(routes.event(full)).json(),
        "user": "bob",
        "position": 3,
        "created_at": place.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert response.json()["event"]["waiting"] == 3
    assert_balanced()


def test_nobody_signed_in_is_refused(api, routes, place, full):
    responses = [api.post(routes.places, {"event_id": full.pk}), api.get(routes.places), api.get(routes.place(place))]
    responses += [api.delete(routes.place(place)), api.get(routes.waitlist(full))]

    assert {response.status_code for response in responses} == {401}
    assert line(full) == ["bob"]


def test_read_only_fields_are_ignored(as_user, routes, bob, alice, full):
    sent = {"event_id": full.pk, "user": alice.pk, "id": 77, "position": -1}

    response = as_user(bob).post(routes.places, sent).json()

    assert (response["user"], response["position"]) == ("bob", 1)
    assert response["id"] != 77


def test_joining_twice_is_refused_with_the_place(join, bob, place, full):
    response = join(bob, full)

    assert response.status_code == 400
    assert response.json() == {
        "detail": "You are already on the waiting list of this event.",
        "code": "already_waiting",
        "waitlist_entry": place.pk,
    }
    assert_balanced()


def test_joining_with_a_seat_is_refused_with_the_reservation(join, carol, full):
    response = join(carol, full)

    assert response.status_code == 400
    assert response.json()["code"] == "already_reserved"
    assert response.json()["reservation"] == Reservation.objects.get().pk


def test_joining_an_event_with_a_free_seat_is_refused(join, bob, event):
    response = join(bob, event)

    assert response.status_code == 400
    assert response.json() == {
        "detail": "This event has free seats. Book one instead of joining the waiting list.",
        "code": "seats_available",
    }


def test_joining_a_started_event_is_refused(join, bob, full):
    begin(full)

    assert join(bob, full).json()["code"] == "event_started"


@pytest.mark.parametrize("event_id", [999, 0, -1, 2**63, 10**30])
def test_joining_an_event_that_does_not_exist(join, bob, event_id):
    response = join(bob, event_id)

    assert response.status_code == 400
    assert response.json() == {"event_id": ["There is no event with this id."]}


@pytest.mark.parametrize("person", ["bob", "carol"])
def test_having_a_seat_or_a_place_is_the_first_reason(request, join, full, place, person):
    begin(full)

    code = join(request.getfixturevalue(person), full).json()["code"]

    assert code == {"bob": "already_waiting", "carol": "already_reserved"}[person]


def test_start_is_named_before_free_seats(join, bob, event):
    begin(event)

    assert join(bob, event).json()["code"] == "event_started"


def test_booking_a_full_event_while_waiting_is_sold_out(as_user, routes, bob, place, full):
    response = as_user(bob).post(routes.reservations, {"event_id": full.pk})

    assert response.json()["code"] == "sold_out"


def test_own_places_have_their_positions(as_user, routes, alice, bob, carol, people, event_of, place, full):
    second = event_of(alice, title="Second", capacity=1)
    book(second, carol)
    wait(second, *people(2), bob)

    response = as_user(bob).get(routes.places).json()

    assert response["count"] == 2
    assert [(each["event"]["id"], each["position"]) for each in response["results"]] == [(full.pk, 1), (second.pk, 3)]


def test_own_places_can_be_filtered_by_event(as_user, routes, bob, place, full, event):
    counts = [as_user(bob).get(routes.places, {"event": each}).json()["count"] for each in (full.pk, event.pk)]

    assert counts == [1, 0]


@pytest.mark.parametrize("value", ["x", "1.5", "%00", "9" * 5000, "9223372036854775808"])
def test_bad_event_is_refused_on_its_field(as_user, bob, routes, value):
    response = as_user(bob).get(f"{routes.places}?event={value}")

    assert response.status_code == 400
    assert list(response.json()) == ["event"]


@pytest.mark.parametrize("place_id", [0, 99, 2**63, 10**30, "x", "9" * 5000])
@pytest.mark.parametrize("method", ["get", "delete"])
def test_unknown_place_is_404(as_user, bob, routes, place_id, method):
    assert getattr(as_user(bob), method)(routes.place(place_id)).status_code == 404


@pytest.mark.parametrize("event_id", [0, 99, 2**63, "x"])
def test_waiting_list_of_an_unknown_event_is_404(as_user, bob, routes, event_id):
    assert as_user(bob).get(routes.waitlist(event_id)).status_code == 404


@pytest.mark.parametrize("method", ["put", "patch"])
def test_place_cannot_be_changed(as_user, bob, routes, place, method):
    response = getattr(as_user(bob), method)(routes.place(place), {"event_id": 1})

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, DELETE"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_waiting_list_can_only_be_read(as_user, alice, routes, full, method):
    response = getattr(as_user(alice), method)(routes.waitlist(full))

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("query", ["page=0", "page=x", "page=99", "page_size=x", "page_size=0"])
def test_bad_pages_of_a_waiting_list(as_user, alice, routes, full, query):
    response = as_user(alice).get(f"{routes.waitlist(full)}?{query}")

    assert response.status_code == (404 if query.startswith("page=") else 400)


def test_attempts_to_join_are_limited(bob, full, monkeypatch):
    """The reason against joining disappears each time before it is read."""
    attempts = []

    def refuse(manager, event_id):
        attempts.append(event_id)
        raise SeatsAvailable

    monkeypatch.setattr(EventManager, "add_waiting", refuse)

    with pytest.raises(Unavailable):
        wait(full, bob)

    assert len(attempts) == MAX_ATTEMPTS


def test_position_moves_up_when_somebody_leaves(as_user, routes, carol, bob, full, people):
    first, _ = wait(full, *people(1), bob)
    place = routes.place(WaitlistEntry.objects.get(user=bob))
    assert as_user(bob).get(place).json()["position"] == 2

    first.leave()

    response = as_user(bob).get(place).json()
    assert (response["position"], response["event"]["waiting"]) == (1, 1)


def test_other_peoples_places_are_not_found(as_user, routes, carol, place):
    assert as_user(carol).get(routes.place(place)).status_code == 404
    assert as_user(carol).delete(routes.place(place)).status_code == 404
    assert WaitlistEntry.objects.filter(pk=place.pk).exists()


def test_organizer_sees_the_waiting_list_in_order(as_user, routes, alice, full, people):
    places = wait(full, *people(12))

    pages = [as_user(alice).get(routes.waitlist(full), {"page": number}).json() for number in (1, 2)]

    assert [page["count"] for page in pages] == [12, 12]
    shown = [each for page in pages for each in page["results"]]
    assert [each["position"] for each in shown] == list(range(1, 13))
    assert [each["user"] for each in shown] == line(full)
    assert shown[0] == {
        "id": places[0].pk,
        "user": "person0",
        "position": 1,
        "created_at": places[0].created_at.isoformat().replace("+00:00", "Z"),
    }


def test_positions_on_a_deep_page(as_user, routes, alice, full, people, monkeypatch):
    """Deep pages are found by primary key, in a query that does not see the earlier places."""
    monkeypatch.setattr("eventmanagement.api.pagination.DEEP_PAGE_OFFSET", 4)
    wait(full, *people(7))

    page = as_user(alice).get(routes.waitlist(full), {"page": 3, "page_size": 3}).json()

    assert [(each["user"], each["position"]) for each in page["results"]] == [("person6", 7)]


@pytest.mark.parametrize("rows", [1, 3])
def test_lists_need_the_same_queries_for_any_number_of_places(
    as_user, routes, alice, bob, carol, people, event_of, rows, django_assert_num_queries
):
    events = [event_of(alice, capacity=1) for _ in range(rows)]
    crowd = people(rows)
    for each in events:
        book(each, carol)
        wait(each, bob, *crowd)
    organizer, waiting = as_user(alice), as_user(bob)

    with django_assert_num_queries(3):
        assert waiting.get(routes.places).json()["count"] == rows
    with django_assert_num_queries(4):
        assert organizer.get(routes.waitlist(events[0])).json()["count"] == rows + 1


def test_leaving(as_user, routes, bob, full, people):
    place, _ = wait(full, bob, *people(1))

    response = as_user(bob).delete(routes.place(place))

    assert response.status_code == 204
    assert line(full) == ["person0"]
    assert_balanced()


def test_leaving_twice_is_not_found(as_user, routes, bob, full, people):
    place, _ = wait(full, bob, *people(1))
    as_user(bob).delete(routes.place(place))

    assert as_user(bob).delete(routes.place(place)).status_code == 404
    assert_balanced()


@pytest.mark.parametrize("happen", [begin, finish])
def test_leaving_is_possible_after_the_start(as_user, routes, bob, place, full, happen):
    happen(full)

    assert as_user(bob).delete(routes.place(place)).status_code == 204
    assert_balanced()


def test_cancellation_gives_the_seat_to_the_first_in_line(as_user, routes, bob, carol, full, people):
    place, _ = wait(full, bob, *people(1))
    cancelled = Reservation.objects.get()

    assert as_user(carol).delete(routes.reservation(cancelled)).status_code == 204

    reservation = as_user(bob).get(routes.reservations).json()["results"][0]
    assert reservation["from_waitlist"] is True
    assert (reservation["event"]["seats_remaining"], reservation["event"]["waiting"]) == (0, 1)
    assert as_user(bob).get(routes.place(place)).status_code == 404
    assert as_user(bob).delete(routes.place(place)).status_code == 404
    assert line(full) == ["person0"]
    assert_balanced()


def test_person_who_got_a_seat_has_it_already(as_user, join, routes, bob, full, place):
    Reservation.objects.get().cancel()
    held = Reservation.objects.get()

    for response in (join(bob, full), as_user(bob).post(routes.reservations, {"event_id": full.pk})):
        assert (response.json()["code"], response.json()["reservation"]) == ("already_reserved", held.pk)


def test_attendees_show_who_came_from_the_list(as_user, routes, alice, bob, people, event_of):
    event = event_of(alice, capacity=2)
    first, second, third = people(3)
    book(event, first, second)
    wait(event, third)
    Reservation.objects.get(user=first).cancel()

    attendees = as_user(alice).get(routes.attendees(event)).json()["results"]

    assert [(each["user"], each["from_waitlist"]) for each in attendees] == [("person1", False), ("person2", True)]


@pytest.mark.parametrize(("capacity", "seated", "waiting", "free"), [(3, 3, 2, 0), (5, 5, 0, 0), (7, 5, 0, 2)])
def test_larger_capacity_promotes_in_order(as_user, routes, alice, full, people, capacity, seated, waiting, free):
    wait(full, *people(4))

    response = as_user(alice).patch(routes.event(full), {"capacity": capacity}).json()

    assert (response["seats_remaining"], response["waiting"]) == (free, waiting)
    assert holders(full) == ["carol", "person0", "person1", "person2", "person3"][:seated]
    assert line(full) == ["person0", "person1", "person2", "person3"][seated - 1 :]
    assert_balanced()


def test_capacity_with_people_waiting_cannot_be_smaller(as_user, routes, alice, bob, carol, people, event_of):
    event = event_of(alice, capacity=2)
    book(event, bob, carol)
    wait(event, *people(1))

    response = as_user(alice).patch(routes.event(event), {"capacity": 1})

    assert response.json()["code"] == "capacity_below_reserved"
    assert_balanced()


def test_read_only_counts_are_ignored(as_user, routes, alice, full, place):
    response = as_user(alice).patch(routes.event(full), {"waiting": 7, "seats_remaining": 3, "title": "New"}).json()

    assert (response["waiting"], response["seats_remaining"], response["title"]) == (1, 0, "New")


def test_etag_changes_when_somebody_joins(api, routes, bob, full):
    tag = api.get(routes.event(full))["ETag"]

    wait(full, bob)

    assert api.get(routes.event(full), headers={"if-none-match": tag}).status_code == 200


def test_waiting_list_is_deleted_with_its_event(as_user, routes, alice, place, full):
    assert as_user(alice).delete(routes.event(full)).status_code == 204

    assert not WaitlistEntry.objects.exists()
    assert not Event.objects.exists()


def test_deleted_account_promotes_and_the_others_move_up(full, carol, people):
    crowd = people(3)
    wait(full, *crowd)

    crowd[1].delete()
    assert line(full) == ["person0", "person2"]
    carol.delete()

    assert holders(full) == ["person0"]
    assert line(full) == ["person2"]
    assert_balanced()


def test_users_deleted_together_do_not_promote_each_other(full, people):
    wait(full, *people(3))

    User.objects.filter(username__in=["carol", "person0"]).delete()

    assert holders(full) == ["person1"]
    assert line(full) == ["person2"]
    assert_balanced()
