"""Race conditions around the waiting list, with real threads."""

from functools import partial

import pytest
from django.db import connection

from event.models import Event
from reservation.models import Reservation, WaitlistEntry
from tests.conftest import LONG
from tests.ledger import assert_balanced, book, holders, line, wait
from tests.races import outcomes, race

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another"),
]
ROUNDS = 8


@pytest.fixture
def join(as_user):
    return lambda person, event: partial(as_user(person).post, LONG.places, {"event_id": event.pk})


@pytest.fixture
def leave(as_user):
    return lambda place: partial(as_user(place.user).delete, LONG.place(place))


@pytest.fixture
def cancel(as_user):
    return lambda reservation: partial(as_user(reservation.user).delete, LONG.reservation(reservation))


@pytest.fixture
def take(as_user):
    """Return a function that books a seat through the API."""
    return lambda person, event: partial(as_user(person).post, LONG.reservations, {"event_id": event.pk})


@pytest.mark.parametrize("number", range(ROUNDS))
def test_joining_while_the_last_holder_cancels(alice, bob, carol, event_of, join, cancel, number):
    event = event_of(alice, capacity=1)
    [held] = book(event, bob)

    responses = race([join(carol, event), cancel(held)])

    assert outcomes(responses[1:]) == {204: 1}
    assert outcomes(responses[:1]).keys() <= {201, "seats_available"}
    # If Carol joined in time, she has the seat.
    assert holders(event) == ["carol"][: responses[0].status_code == 201]
    assert line(event) == []
    assert_balanced()


def test_many_join_while_all_holders_cancel(alice, people, event_of, join, cancel):
    event = event_of(alice, capacity=6)
    crowd = people(14)
    held = book(event, *crowd[:6])

    responses = race([join(person, event) for person in crowd[6:]] + [cancel(each) for each in held])

    joined = outcomes(responses[:8])
    assert joined.keys() <= {201, "seats_available"}
    assert Reservation.objects.count() + WaitlistEntry.objects.count() == joined[201]
    assert_balanced()


def test_two_cancel_and_one_waits(alice, people, event_of, cancel):
    event = event_of(alice, capacity=2)
    crowd = people(3)
    held = book(event, *crowd[:2])
    wait(event, crowd[2])

    responses = race(map(cancel, held))

    assert outcomes(responses) == {204: 2}
    assert holders(event) == ["person2"]
    assert Event.objects.get().seats_remaining == 1
    assert_balanced()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_leaving_while_being_promoted(alice, bob, carol, people, event_of, cancel, leave, number):
    event = event_of(alice, capacity=1)
    [held] = book(event, bob)
    place, _ = wait(event, carol, *people(1))

    responses = race([cancel(held), leave(place)])

    assert outcomes(responses[:1]) == {204: 1}
    assert holders(event) == {204: ["person0"], 404: ["carol"]}[responses[1].status_code]
    assert_balanced()


def test_leaving_many_times_at_once(alice, bob, carol, people, event_of, leave):
    event = event_of(alice, capacity=1)
    book(event, bob)
    place, *_ = wait(event, carol, *people(2))

    responses = race([leave(place)] * 8)

    assert outcomes(responses) == {204: 1, 404: 7}
    assert_balanced()


def test_joining_many_times_at_once(alice, bob, carol, event_of, join):
    event = event_of(alice, capacity=1)
    book(event, bob)

    responses = race([join(carol, event)] * 12)

    assert outcomes(responses) == {201: 1, "already_waiting": 11}
    place = WaitlistEntry.objects.get()
    assert {response.json().get("waitlist_entry", place.pk) for response in responses} == {place.pk}
    assert_balanced()


def test_positions_of_concurrent_joins_are_unique(alice, bob, people, event_of, join):
    event = event_of(alice, capacity=1)
    book(event, bob)

    responses = race(join(person, event) for person in people(12))

    positions = {response.json()["id"]: response.json()["position"] for response in responses}
    assert [positions[pk] for pk in sorted(positions)] == list(range(1, 13))


@pytest.mark.parametrize("number", range(ROUNDS))
def test_two_clicks_of_a_person_who_is_promoted(alice, bob, carol, event_of, join, cancel, number):
    event = event_of(alice, capacity=1)
    [held] = book(event, bob)

    responses = race([join(carol, event), join(carol, event), cancel(held)])

    assert outcomes(responses[:2]).keys() <= {201, "already_waiting", "already_reserved", "seats_available"}
    assert outcomes(responses[:2])[201] <= 1
    assert_balanced()


def test_larger_capacity_while_people_join(alice, bob, people, event_of, as_user, join):
    event = event_of(alice, capacity=1)
    book(event, bob)
    crowd = people(12)
    wait(event, *crowd[:4])
    organizer = as_user(alice)

    responses = race(
        [join(person, event) for person in crowd[4:]]
        + [partial(organizer.patch, LONG.event(event), {"capacity": capacity}) for capacity in (4, 7)]
    )

    assert outcomes(responses[:8]).keys() <= {201, "seats_available"}
    assert outcomes(responses[8:]).keys() <= {200, "capacity_below_reserved"}
    event.refresh_from_db()
    assert holders(event)[1:5] == [f"person{number}" for number in range(4)][: event.capacity - 1]
    assert_balanced()


def test_event_is_deleted_while_people_join_and_cancel(alice, people, event_of, as_user, join, cancel, leave):
    event = event_of(alice, capacity=3)
    crowd = people(12)
    held = book(event, *crowd[:3])
    places = wait(event, *crowd[3:6])

    responses = race(
        [join(person, event) for person in crowd[6:]]
        + [cancel(each) for each in held]
        + [leave(each) for each in places]
        + [partial(as_user(alice).delete, LONG.event(event))]
    )

    assert outcomes(responses[-1:]) == {204: 1}
    assert outcomes(responses[:-1]).keys() <= {201, 204, 404, "seats_available", "dict_keys(['event_id'])"}
    assert not Event.objects.exists()
    assert not Reservation.objects.exists()
    assert not WaitlistEntry.objects.exists()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_holder_and_first_in_line_are_deleted_at_once(alice, people, event_of, number):
    event = event_of(alice, capacity=1)
    holder, first, second = people(3)
    book(event, holder)
    wait(event, first, second)

    responses = race([holder.delete, first.delete])

    assert [each for each in responses if isinstance(each, Exception)] == []
    assert holders(event) == ["person2"]
    assert line(event) == []
    assert_balanced()


@pytest.mark.usefixtures("either_body")
def test_newcomers_get_no_seat_while_others_wait(alice, people, event_of, take, cancel):
    event = event_of(alice, capacity=20)
    crowd = people(80)
    held = book(event, *crowd[:20])
    wait(event, *crowd[20:60])

    responses = race([cancel(each) for each in held] + [take(person, event) for person in crowd[60:]])

    assert outcomes(responses[:20]) == {204: 20}
    assert outcomes(responses[20:]) == {"sold_out": 20}
    assert holders(event) == [f"person{number}" for number in range(20, 40)]
    assert line(event) == [f"person{number}" for number in range(40, 60)]
    assert_balanced()


def rebuilt_from(records):
    """Return the current reservations, with their events and users, according to the journal of seats."""
    lines = [record for record in records if record.name == "event.seats"]
    held = [
        {(line.reservation, line.event, line.user) for line in lines if line.movement in movements}
        for movements in (["taken", "promoted"], ["returned"])
    ]
    return held[0] - held[1]


@pytest.mark.usefixtures("either_body")
def test_storm_of_everything(alice, people, event_of, as_user, join, leave, cancel, take, caplog):
    caplog.set_level("INFO", "event.seats")
    events = [event_of(alice, capacity=2) for _ in range(2)]
    crowd = people(20)
    held = [each for event in events for each in book(event, *crowd[:2])]
    places = [each for event in events for each in wait(event, *crowd[2:8])]
    organizer = as_user(alice)

    responses = race(
        [cancel(each) for each in held]
        + [leave(each) for each in places[::3]]
        + [join(person, event) for event in events for person in crowd[8:14]]
        + [take(person, event) for event in events for person in crowd[14:18]]
        + [partial(organizer.patch, LONG.event(event), {"capacity": 4}) for event in events]
        + [person.delete for person in crowd[3:6]]
        + [crowd[18].delete]
    )

    assert [each for each in responses if isinstance(each, Exception)] == []
    assert_balanced()
    assert rebuilt_from(caplog.records) == set(Reservation.objects.values_list("pk", "event_id", "user_id"))
