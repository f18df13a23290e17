"""A stateful property test: the API behaves like a simple model in Python, for any sequence of actions."""

from dataclasses import dataclass, field
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import ProtectedError
from django.test import override_settings
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from reservation.models import Reservation
from tests.conftest import LONG
from tests.ledger import assert_balanced, holders, line

pytestmark = pytest.mark.usefixtures("either_body")

TIMES = {"start_time": "2999-06-01T19:00:00Z", "end_time": "2999-06-01T22:00:00Z"}


@dataclass
class ModelEvent:
    """The model of an event: its organizer, its capacity, the reservations and the places by user, in order.

    The id of a reservation that came from the waiting list is unknown: None. ``inside`` are those who are checked in.
    """

    organizer: str
    capacity: int
    seated: dict[str, int | None] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    inside: set[str] = field(default_factory=set)
    is_cancelled: bool = False

    def book(self, person):
        if person in self.seated:
            return "already_reserved"
        if self.is_cancelled:
            return "event_cancelled"
        return "sold_out" if len(self.seated) >= self.capacity else 201

    def join(self, person):
        if person in self.seated:
            return "already_reserved"
        if person in self.waiting:
            return "already_waiting"
        if self.is_cancelled:
            return "event_cancelled"
        return "seats_available" if len(self.seated) < self.capacity else 201

    def resize(self, capacity):
        return "capacity_below_reserved" if capacity < len(self.seated) else 200

    def promote(self):
        while self.waiting and len(self.seated) < self.capacity:
            first = next(iter(self.waiting))
            del self.waiting[first]
            self.seated[first] = None


def outcome(response):
    return response.json()["code"] if response.status_code == 400 else response.status_code


class BookingStateMachine(RuleBasedStateMachine):
    people = Bundle("people")
    events = Bundle("events")

    def __init__(self):
        super().__init__()
        # Every run starts with an empty database and is rolled back at the end.
        self.pages = transaction.atomic()
        self.pages.__enter__()
        assert not User.objects.exists()
        self.houses: dict[int, ModelEvent] = {}
        self.clients: dict[str, APIClient] = {}

    def teardown(self):
        transaction.set_rollback(True)
        self.pages.__exit__(None, None, None)

    @initialize(target=people)
    def begin_with_people(self):
        return multiple(self.join(), self.join(), self.join())

    @initialize(target=events, organizer=people)
    def begin_with_an_event(self, organizer):
        return self.announce(organizer, 1)

    @rule(target=people)
    def sign_up(self):
        return self.join()

    @rule(target=events, organizer=people, capacity=st.integers(1, 3))
    def create_event(self, organizer, capacity):
        return self.announce(organizer, capacity)

    def join(self):
        name = f"person{len(self.clients)}"
        client = APIClient()
        # A cheap hasher, to save time.
        with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
            response = client.post(LONG.signup, {"username": name, "password": "correct horse battery"})
        assert response.status_code == 201
        token = Token.objects.create(user_id=response.json()["id"])
        client.credentials(HTTP_AUTHORIZATION=f"Token {token.key}")
        self.clients[name] = client
        return name

    def announce(self, organizer, capacity):
        response = self.clients[organizer].post(LONG.events, TIMES | {"title": "Concert", "capacity": capacity})
        assert response.status_code == 201
        self.houses[response.json()["id"]] = ModelEvent(organizer, capacity)
        return response.json()["id"]

    @rule(person=people, event=events)
    def book(self, person, event):
        response = self.clients[person].post(LONG.reservations, {"event_id": event})
        expected = self.houses[event].book(person)
        assert outcome(response) == expected
        if expected == 201:
            self.houses[event].seated[person] = response.json()["id"]
        elif expected == "already_reserved":
            self.check_reservation(person, event, response)

    def check_reservation(self, person, event, response):
        """Compare the reservation in an error with the model. From the waiting list, the model gets its id here."""
        held = response.json()["reservation"]
        assert self.houses[event].seated[person] in (held, None)
        self.houses[event].seated[person] = held

    @rule(person=people, event=events)
    def wait(self, person, event):
        house = self.houses[event]
        response = self.clients[person].post(LONG.places, {"event_id": event})
        expected = house.join(person)
        assert outcome(response) == expected
        if expected == 201:
            house.waiting[person] = response.json()["id"]
            assert response.json()["position"] == len(house.waiting)
        elif expected == "already_waiting":
            assert response.json()["waitlist_entry"] == house.waiting[person]
        elif expected == "already_reserved":
            self.check_reservation(person, event, response)

    @rule(person=people, event=events)
    def leave(self, person, event):
        place = self.houses[event].waiting.pop(person, 0)
        response = self.clients[person].delete(LONG.place(place))
        assert outcome(response) == (204 if place else 404)

    @rule(person=people, event=events)
    def cancel(self, person, event):
        house = self.houses[event]
        found = self.clients[person].get(LONG.reservations, {"event": event}).json()["results"]
        assert [each["event"]["id"] for each in found] == [event] * (person in house.seated)
        held = found[0]["id"] if found else 0
        response = self.clients[person].delete(LONG.reservation(held))
        if person in house.inside:
            assert outcome(response) == "checked_in"
            return
        assert outcome(response) == (204 if held else 404)
        house.seated.pop(person, 0)
        house.promote()

    def reservation(self, person, event):
        """Return the id of the person's reservation, or 0."""
        found = self.clients[person].get(LONG.reservations, {"event": event}).json()["results"]
        return found[0]["id"] if found else 0

    @rule(organizer=people, event=events)
    def call_off(self, organizer, event):
        house = self.houses[event]
        response = self.clients[organizer].post(LONG.cancel(event))
        assert outcome(response) == (200 if organizer == house.organizer else 403)
        if organizer == house.organizer:
            house.is_cancelled = True
            house.waiting.clear()

    @rule(person=people, event=events, other=events)
    def check_in(self, person, event, other):
        house = self.houses[event]
        held, foreign = self.reservation(person, event), self.reservation(person, other)
        scan = partial(self.clients[house.organizer].post, LONG.check_in(event))
        if other != event:
            assert scan({"reservation": foreign}).json().keys() == {"reservation"}
        response = scan({"reservation": held})
        if not held:
            assert response.json().keys() == {"reservation"}
        elif house.is_cancelled:
            assert outcome(response) == "event_cancelled"
        else:
            assert response.json()["user"] == person
            house.inside.add(person)

    @rule(person=people, event=events)
    def undo_check_in(self, person, event):
        house = self.houses[event]
        held = self.reservation(person, event)
        response = self.clients[house.organizer].delete(LONG.check_in(event, held))
        assert outcome(response) == (204 if held else 404)
        house.inside.discard(person)

    @rule(person=people, event=events)
    def take_back(self, person, event):
        house = self.houses[event]
        held = self.reservation(person, event)
        response = self.clients[house.organizer].delete(LONG.attendee(event, held))
        assert outcome(response) == (204 if held else 404)
        house.seated.pop(person, None)
        house.inside.discard(person)
        house.promote()

    @rule(person=people, event=events, capacity=st.integers(1, 4))
    def resize(self, person, event, capacity):
        house = self.houses[event]
        response = self.clients[person].patch(LONG.event(event), {"capacity": capacity})
        expected = house.resize(capacity) if person == house.organizer else 403
        assert outcome(response) == expected
        if expected == 200:
            house.capacity = capacity
            house.promote()

    @rule(person=people, event=events, title=st.sampled_from(["Concert", "Opera"]))
    def edit(self, person, event, title):
        response = self.clients[person].patch(LONG.event(event), {"title": title, "seats_remaining": 0, "waiting": 9})
        assert outcome(response) == (200 if person == self.houses[event].organizer else 403)

    @rule(event=consumes(events))
    def delete_event(self, event):
        house = self.houses.pop(event)
        assert self.clients[house.organizer].delete(LONG.event(event)).status_code == 204

    @rule(person=consumes(people))
    def delete_person(self, person):
        organizes = any(house.organizer == person for house in self.houses.values())
        if organizes:
            with pytest.raises(ProtectedError):
                User.objects.get(username=person).delete()
            return
        User.objects.get(username=person).delete()
        assert self.clients[person].get(LONG.reservations).status_code == 401
        for house in self.houses.values():
            house.waiting.pop(person, None)
            house.seated.pop(person, None)
            house.inside.discard(person)
            house.promote()

    @invariant()
    def both_agree(self):
        for event, house in self.houses.items():
            response = APIClient().get(LONG.event(event)).json()
            assert (response["capacity"], response["seats_remaining"], response["waiting"]) == (
                house.capacity,
                house.capacity - len(house.seated),
                len(house.waiting),
            )
            assert holders(event) == list(house.seated)
            assert line(event) == list(house.waiting)
            assert (response["cancelled_at"] is not None) == house.is_cancelled
            inside = Reservation.objects.filter(event=event).checked_in()
            assert set(inside.values_list("user__username", flat=True)) == house.inside
        assert_balanced()


def test_api_matches_model():
    # derandomize: the same sequences in every run, so that failures are reproducible.
    told = settings(max_examples=40, stateful_step_count=25, deadline=None, derandomize=True)

    run_state_machine_as_test(BookingStateMachine, settings=told)
