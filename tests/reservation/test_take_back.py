"""The organizer takes the seat of an attendee back."""

import pytest

from reservation.models import Reservation
from tests.conftest import LONG, SHORT
from tests.ledger import assert_balanced, begin, book, finish, holders, line, seats_left, wait


@pytest.fixture
def take_back(as_user, alice):
    return lambda event, reservation: as_user(alice).delete(LONG.attendee(event, reservation))


def test_seat_is_free_again(take_back, event, reservation):
    response = take_back(event, reservation)

    assert response.status_code == 204
    assert response.content == b""
    assert not Reservation.objects.exists()
    assert seats_left(event) == 10


def test_next_in_line_gets_the_seat(take_back, alice, bob, carol, people, event_of):
    full = event_of(alice, capacity=1)
    [held] = book(full, bob)
    wait(full, carol, *people(1))

    assert take_back(full, held).status_code == 204

    assert (holders(full), line(full)) == (["carol"], ["person0"])
    assert_balanced()


def test_it_is_possible_after_the_start(take_back, alice, bob, carol, event_of):
    full = event_of(alice, capacity=1)
    [held] = book(full, bob)
    wait(full, carol)
    begin(full)

    assert take_back(full, held).status_code == 204

    assert holders(full) == ["carol"]
    assert_balanced()


def test_after_the_end_the_waiting_list_is_removed(take_back, alice, bob, carol, event_of):
    full = event_of(alice, capacity=1)
    [held] = book(full, bob)
    wait(full, carol)
    finish(full)

    assert take_back(full, held).status_code == 204

    assert (holders(full), line(full), seats_left(full)) == ([], [], 1)
    assert_balanced()


def test_seat_of_a_called_off_event_goes_to_nobody(take_back, alice, bob, carol, event_of):
    full = event_of(alice, capacity=1)
    [held] = book(full, bob)
    wait(full, carol)
    full.cancel()

    assert take_back(full, held).status_code == 204

    assert (holders(full), seats_left(full)) == ([], 1)
    assert_balanced()


def test_second_time_is_404(take_back, event, reservation):
    assert [take_back(event, reservation).status_code for _ in range(2)] == [204, 404]
    assert seats_left(event) == 10


def test_reservation_of_another_event_is_404(take_back, alice, bob, event_of, event, reservation):
    [other] = book(event_of(alice), bob)

    assert take_back(event, other).status_code == 404
    assert take_back(other.event, reservation).status_code == 404
    assert Reservation.objects.count() == 2


@pytest.mark.parametrize("number", [999, 10**18, 10**30])
def test_unknown_ids_are_404(take_back, event, reservation, number):
    assert take_back(event, number).status_code == 404
    assert take_back(number, reservation).status_code == 404


@pytest.mark.parametrize("method", ["get", "put", "patch", "post", "options"])
@pytest.mark.parametrize("names", [LONG, SHORT], ids=["long", "short"])
def test_other_methods_are_405(as_user, alice, event, reservation, names, method):
    response = getattr(as_user(alice), method)(names.attendee(event, reservation))

    assert (response.status_code, response["Allow"]) == (405, "DELETE")


def test_journal_tells_who_did_it(take_back, alice, bob, carol, event_of, caplog, django_capture_on_commit_callbacks):
    full = event_of(alice, capacity=1)
    [held] = book(full, bob)
    wait(full, carol)
    caplog.set_level("INFO", "event.seats")

    with django_capture_on_commit_callbacks(execute=True):
        take_back(full, held)

    returned, promoted = [record for record in caplog.records if record.name == "event.seats"]
    assert (returned.movement, returned.user, returned.reservation, returned.by) == (
        "returned",
        bob.pk,
        held.pk,
        alice.pk,
    )
    assert (promoted.movement, promoted.user) == ("promoted", carol.pk)
    assert not hasattr(promoted, "by")
