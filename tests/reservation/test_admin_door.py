"""Checking attendees in at the door, in the admin."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError
from django.urls import reverse

from event.models import Event
from eventmanagement.serving.admin import TOO_BUSY
from reservation import admin, door
from reservation.models import Reservation
from tests.admin import delete_selected, errors, staff
from tests.ledger import assert_balanced, book

LIST = "/admin/reservation/reservation/"


def choose(client, action, reservations):
    choice = {"action": action, "_selected_action": [each.pk for each in reservations]}
    return client.post(LIST, choice, follow=True)


def inside():
    return list(Reservation.objects.checked_in().values_list("user__username", flat=True))


def logged(model):
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model)).order_by("pk")
    return list(entries.values_list("action_flag", "change_message"))


@pytest.fixture
def held(event, people):
    return book(event, *people(3))


def test_several_are_checked_in_and_logged(boss, held):
    response = choose(boss, "check_in", held[:2])

    assert "2 reservations now checked in." in response.text
    assert inside() == ["person0", "person1"]
    assert logged(Reservation) == [(CHANGE, "Now checked in.")] * 2
    assert logged(Event) == [(CHANGE, "Checked in person0."), (CHANGE, "Checked in person1.")]


def test_check_ins_are_undone_and_logged(boss, event, held):
    door.check_in(event.pk, held[0].pk)

    response = choose(boss, "undo_check_in", held)

    assert "1 reservation now not checked in. 2 unchanged: they were not checked in." in response.text
    assert inside() == []
    assert logged(Event) == [(CHANGE, "Undid the check-in of person0.")]


def test_second_check_in_keeps_the_time(boss, held):
    choose(boss, "check_in", held)
    before = list(Reservation.objects.values_list("checked_in_at"))

    response = choose(boss, "check_in", held)

    assert "0 reservations now checked in. 3 unchanged: already checked in" in response.text
    assert list(Reservation.objects.values_list("checked_in_at")) == before
    assert len(logged(Reservation)) == 3


def test_nobody_is_checked_in_at_a_called_off_event(boss, event, held):
    event.cancel()

    assert "or the event was called off" in choose(boss, "check_in", held).text

    assert inside() == []


def test_too_many_are_refused(boss, held, monkeypatch):
    monkeypatch.setattr(admin, "MAX_SELECTED", 2)

    response = choose(boss, "check_in", held)

    assert "Select at most 2 reservations." in response.text
    assert inside() == []


def test_number_of_statements_does_not_grow(boss, alice, event_of, people, django_assert_max_num_queries):
    crowd = people(20)
    few, many = (book(event_of(alice), *crowd[:2]), book(event_of(alice, capacity=20), *crowd))
    with django_assert_max_num_queries(100) as for_few:
        choose(boss, "check_in", few)

    with django_assert_max_num_queries(len(for_few)):
        choose(boss, "check_in", many)


def test_busy_database_changes_nothing(boss, held, monkeypatch):
    def fail(reservations, checked_in_at):
        error = OperationalError("lock timeout")
        error.__cause__ = Exception()
        error.__cause__.sqlstate = "55P03"
        raise error

    monkeypatch.setattr(door, "_update", fail)

    assert TOO_BUSY in choose(boss, "check_in", held).text
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("action", ["check_in", "undo_check_in"])
def test_permission_to_change_reservations_is_needed(event, held, action):
    door.check_in(event.pk, held[0].pk)
    others = staff("others", "view_reservation", "delete_reservation", "change_event", "add_reservation")

    choose(others, action, held[1:] if action == "check_in" else held)

    assert f'value="{action}"' not in others.get(LIST).text
    assert inside() == ["person0"]


def test_person_at_the_door_can_check_in_but_not_cancel(held):
    doorkeeper = staff("doorkeeper", "view_reservation", "change_reservation")

    choose(doorkeeper, "check_in", held)
    delete_selected(doorkeeper, "reservation_reservation", held)

    assert inside() == ["person0", "person1", "person2"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["person0", "person1", "person2"]),
        ("checked_in=true", ["person1"]),
        ("checked_in=false", ["person0", "person2"]),
    ],
)
def test_list_is_filtered(boss, event, held, query, names):
    door.check_in(event.pk, held[1].pk)

    response = boss.get(f"{LIST}?{query}")

    assert sorted(each.user.username for each in response.context["cl"].result_list) == names


def test_pages_show_who_is_in(boss, event, held):
    door.check_in(event.pk, held[1].pk)

    text = boss.get(reverse("admin:event_event_change", args=[event.pk])).text
    link = f"{LIST}?event__id__exact={event.pk}&amp;checked_in=true"
    assert f'<a href="{link}">1 of 3</a>' in text
    assert boss.get(link.replace("&amp;", "&")).context["cl"].result_count == 1
    assert "field-checked_in_at" in boss.get(LIST).text
    assert "field-checked_in_at" in boss.get(reverse("admin:reservation_reservation_change", args=[held[1].pk])).text


def test_reservation_that_is_checked_in_can_be_cancelled(boss, event, held):
    door.check_in(event.pk, held[1].pk)

    delete_selected(boss, "reservation_reservation", [held[1]])

    assert Reservation.objects.count() == 2
    assert_balanced()


def test_called_off_event_cannot_be_booked(boss, event, bob):
    event.cancel()

    response = boss.post("/admin/reservation/reservation/add/", {"event": event.pk, "user": bob.pk})

    assert errors(response) == {"event": ["This event was called off."]}
    assert "Book for a user" not in boss.get(reverse("admin:event_event_change", args=[event.pk])).text


def test_choice_of_events_tells_which_was_called_off(boss, event):
    event.cancel()
    query = {"app_label": "reservation", "model_name": "reservation", "field_name": "event", "term": "Con"}

    response = boss.get("/admin/autocomplete/", query)

    assert response.json()["results"][0]["text"].endswith("(called off)")
