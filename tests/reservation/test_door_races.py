"""Race conditions around calling off, check-ins and seats that are taken back, with real threads."""

from functools import partial

import pytest
from django.db import connection

from event.models import Event
from reservation import door
from reservation.models import Reservation
from tests.conftest import LONG
from tests.ledger import assert_balanced, book, holders, line, wait
from tests.races import race
from tests.reservation.test_waitlist_races import ROUNDS, outcomes, rebuilt_from

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another"),
]


@pytest.fixture
def call_off(as_user, alice):
    return lambda event, reason="": partial(as_user(alice).post, LONG.cancel(event), {"reason": reason})


@pytest.fixture
def take(as_user):
    return lambda person, event: partial(as_user(person).post, LONG.reservations, {"event_id": event.pk})


@pytest.fixture
def join(as_user):
    return lambda person, event: partial(as_user(person).post, LONG.places, {"event_id": event.pk})


@pytest.fixture
def cancel(as_user):
    return lambda reservation: partial(as_user(reservation.user).delete, LONG.reservation(reservation))


@pytest.fixture
def scan(as_user, alice):
    return lambda reservation: partial(
        as_user(alice).post, LONG.check_in(reservation.event_id), {"reservation": reservation.pk}
    )


@pytest.fixture
def take_back(as_user, alice):
    return lambda reservation: partial(as_user(alice).delete, LONG.attendee(reservation.event_id, reservation))


@pytest.mark.usefixtures("either_body")
@pytest.mark.parametrize("number", range(ROUNDS))
def test_booking_while_the_event_is_called_off(bob, event, call_off, take, number):
    responses = race([take(bob, event), call_off(event)])

    assert outcomes(responses[1:]) == {200: 1}
    assert outcomes(responses[:1]).keys() <= {201, "event_cancelled"}
    assert holders(event) == ["bob"][: responses[0].status_code == 201]
    assert_balanced()


@pytest.mark.usefixtures("either_body")
def test_many_book_while_the_event_is_called_off(people, event, call_off, take):
    responses = race([take(person, event) for person in people(14)] + [call_off(event)])

    assert outcomes(responses[14:]) == {200: 1}
    booked = outcomes(responses[:14])
    assert booked.keys() <= {201, "event_cancelled", "sold_out"}
    assert Reservation.objects.count() == booked[201]
    assert_balanced()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_joining_while_the_event_is_called_off(alice, bob, people, event_of, call_off, join, number):
    event = event_of(alice, capacity=1)
    book(event, bob)

    responses = race([*(join(person, event) for person in people(4)), call_off(event)])

    assert outcomes(responses[4:]) == {200: 1}
    assert outcomes(responses[:4]).keys() <= {201, "event_cancelled"}
    assert line(event) == []
    assert_balanced()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_calling_off_while_a_cancellation_promotes(alice, bob, carol, event_of, call_off, cancel, number):
    event = event_of(alice, capacity=1)
    [held] = book(event, bob)
    wait(event, carol)

    responses = race([cancel(held), call_off(event)])

    assert outcomes(responses) == {204: 1, 200: 1}
    assert line(event) == []
    # If the cancellation was first, Carol has the seat. Otherwise nobody has it.
    assert (holders(event), Event.objects.get().seats_remaining) in [(["carol"], 0), ([], 1)]
    assert_balanced()


def test_two_call_off_at_once(event, call_off):
    responses = race([call_off(event, "first"), call_off(event, "second")] * 4)

    assert outcomes(responses) == {200: 8}
    assert len({(each.json()["cancelled_at"], each.json()["cancellation_reason"]) for each in responses}) == 1


def test_calling_off_while_the_capacity_grows(alice, bob, people, event_of, as_user, call_off):
    event = event_of(alice, capacity=1)
    book(event, bob)
    wait(event, *people(3))

    responses = race([call_off(event), partial(as_user(alice).patch, LONG.event(event), {"capacity": 3})])

    assert outcomes(responses) == {200: 2}
    assert line(event) == []
    assert holders(event) in [["bob"], ["bob", "person0", "person1"]]
    assert_balanced()


def test_many_events_are_called_off_in_opposite_orders(alice, event_of):
    ids = [event_of(alice).pk for _ in range(20)]

    outcomes = race([partial(Event.objects.cancel, ids), partial(Event.objects.cancel, ids[::-1])] * 3)

    assert sorted(pk for called_off in outcomes for pk in called_off) == ids


@pytest.mark.parametrize("number", range(ROUNDS))
def test_checking_in_while_the_owner_cancels(event, reservation, scan, cancel, number):
    checked_in, cancelled = race([scan(reservation), cancel(reservation)])

    results = outcomes([checked_in])[200], outcomes([cancelled])[204]
    assert sorted(results) == [0, 1]
    if results == (1, 0):
        assert cancelled.json()["code"] == "checked_in"
        assert Reservation.objects.get().checked_in_at
    else:
        assert checked_in.json().keys() == {"reservation"}
        assert not Reservation.objects.exists()
    assert_balanced()


def test_twelve_scanners_agree_on_one_time(reservation, scan):
    responses = race([scan(reservation)] * 12)

    assert outcomes(responses) == {200: 12}
    reservation.refresh_from_db()
    shown = reservation.checked_in_at.isoformat().replace("+00:00", "Z")
    assert {response.json()["checked_in_at"] for response in responses} == {shown}


@pytest.mark.parametrize("number", range(ROUNDS))
def test_checking_in_while_the_event_is_called_off(event, reservation, scan, call_off, number):
    checked_in, called_off = race([scan(reservation), call_off(event)])

    assert called_off.status_code == 200
    assert outcomes([checked_in]).keys() <= {200, "event_cancelled"}
    row = Reservation.objects.select_related("event").get()
    if checked_in.status_code == 200:
        assert row.checked_in_at < row.event.cancelled_at
    else:
        assert row.checked_in_at is None


def test_scanners_of_a_crowd(people, event, scan, cancel, take_back):
    held = book(event, *people(10))

    responses = race(
        [scan(each) for each in held] + [cancel(each) for each in held[:6]] + [take_back(each) for each in held[4:8]]
    )

    assert outcomes(responses[:10]).keys() <= {200, "dict_keys(['reservation'])"}
    assert outcomes(responses[10:16]).keys() <= {204, 404, "checked_in"}
    assert outcomes(responses[16:]).keys() <= {204, 404}
    assert_balanced()


def test_cancelling_while_the_organizer_takes_the_seat_back(alice, bob, carol, event_of, cancel, take_back):
    event = event_of(alice, capacity=1)
    [held] = book(event, bob)
    wait(event, carol)

    responses = race([cancel(held), take_back(held)] * 3)

    assert outcomes(responses) == {204: 1, 404: 5}
    assert holders(event) == ["carol"]
    assert_balanced()


def test_many_are_checked_in_while_they_cancel(alice, people, event_of, cancel):
    events = [event_of(alice), event_of(alice)]
    crowd = people(6)
    held = [each for event in events for each in book(event, *crowd)]
    all_of_them = Reservation.objects.filter(pk__in=[each.pk for each in held])

    responses = race(
        [partial(door.check_in_all, all_of_them.order_by(order)) for order in ("pk", "-pk")]
        + [cancel(each) for each in held]
    )

    cancelled = outcomes(responses[2:])
    assert cancelled.keys() <= {204, "checked_in"}
    assert len(responses[0]) + len(responses[1]) == cancelled["checked_in"] == Reservation.objects.checked_in().count()
    assert_balanced()


def test_attendee_is_checked_in_while_the_account_is_deleted(bob, event, reservation, scan):
    deleted, checked_in = race([bob.delete, scan(reservation)])

    assert not isinstance(deleted, Exception)
    assert outcomes([checked_in]).keys() <= {200, "dict_keys(['reservation'])"}
    assert not Reservation.objects.exists()
    assert_balanced()


@pytest.mark.usefixtures("either_body")
def test_journal_rebuilds_the_reservations_after_a_storm(
    alice, people, event_of, as_user, call_off, take, join, cancel, scan, take_back, caplog
):
    caplog.set_level("INFO", "event.seats")
    events = [event_of(alice, capacity=4) for _ in range(2)]
    crowd = people(16)
    held = [each for event in events for each in book(event, *crowd[:4])]
    for event in events:
        wait(event, *crowd[4:8])

    responses = race(
        [cancel(each) for each in held[::3]]
        + [take_back(each) for each in held[1::2]]
        + [scan(each) for each in held]
        + [take(person, event) for event in events for person in crowd[8:12]]
        + [join(person, event) for event in events for person in crowd[12:14]]
        + [call_off(events[0]), partial(as_user(alice).patch, LONG.event(events[1]), {"capacity": 6})]
        + [crowd[2].delete, crowd[5].delete]
    )

    assert [each for each in responses if isinstance(each, Exception)] == []
    assert {each.status_code for each in responses[:-2]} <= {200, 201, 204, 400, 404}
    assert_balanced()
    assert rebuilt_from(caplog.records) == set(Reservation.objects.values_list("pk", "event_id", "user_id"))
