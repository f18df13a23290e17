"""Booking and cancelling for other users in the admin."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.urls import reverse
from django.utils import timezone

from event.models import Event
from reservation.admin import MAX_ROWS
from reservation.models import Reservation
from tests.admin import delete_selected, errors, form_of, staff, superuser
from tests.ledger import book, seats_left

LIST = "/admin/reservation/reservation/"
ADD = "/admin/reservation/reservation/add/"


def page(kind, row):
    return reverse(f"admin:{kind}_change", args=[row.pk])


def test_booking_for_somebody_takes_a_seat_and_is_logged(boss, event, bob):
    boss.post(ADD, {"event": event.pk, "user": bob.pk})

    assert bob.reservations.get().event == event
    assert seats_left(event) == 9
    assert LogEntry.objects.get().action_flag == ADDITION


def test_sold_out_event_is_an_error_of_the_form(boss, alice, bob, carol, event_of):
    event = event_of(alice, capacity=1)
    book(event, bob)

    response = boss.post(ADD, {"event": event.pk, "user": carol.pk})

    assert errors(response) == {"__all__": ["This event has no seats left."]}
    assert not carol.reservations.exists()


def test_second_seat_for_the_same_person_is_an_error_of_the_form(boss, event, bob):
    book(event, bob)

    response = boss.post(ADD, {"event": event.pk, "user": bob.pk})

    assert errors(response) == {"__all__": ["bob already has a seat at this event."]}
    assert seats_left(event) == 9


def test_event_that_has_started_is_an_error_of_the_form(boss, alice, bob, event_of):
    event = event_of(alice, start_time=timezone.now() - timedelta(minutes=1))

    response = boss.post(ADD, {"event": event.pk, "user": bob.pk})

    assert errors(response).keys() == {"__all__"}
    assert seats_left(event) == 10


@pytest.mark.parametrize("several", [True, False], ids=["selected", "one"])
def test_cancelling_gives_the_seat_back_and_is_logged(boss, event, bob, carol, several):
    [bobs, carols] = book(event, bob, carol)

    if several:
        delete_selected(boss, "reservation_reservation", [bobs])
    else:
        boss.post(reverse("admin:reservation_reservation_delete", args=[bobs.pk]), {"post": "yes"})

    assert list(event.reservations.all()) == [carols]
    assert seats_left(event) == 9
    assert LogEntry.objects.get().action_flag == DELETION


def test_several_are_cancelled_at_once(boss, alice, bob, carol, event_of):
    first, second = event_of(alice), event_of(alice)
    held = book(first, bob, carol) + book(second, bob, carol)

    response = delete_selected(boss, "reservation_reservation", held)

    assert "Successfully deleted 4 reservations." in response.text
    assert (seats_left(first), seats_left(second)) == (10, 10)
    assert LogEntry.objects.count() == 4


def test_bulk_action_is_called_cancel(boss, event, bob):
    book(event, bob)

    response = boss.get(LIST)

    assert '<option value="delete_selected">Cancel selected reservations</option>' in response.text


def test_reservation_is_not_edited(boss, event, bob, carol):
    [reservation] = book(event, bob)

    response = boss.post(page("reservation_reservation", reservation), {"event": event.pk, "user": carol.pk})

    assert response.status_code == 403
    assert Reservation.objects.get().user == bob


def test_list_takes_as_many_queries_for_many_reservations_as_for_one(
    boss, event, people, django_assert_max_num_queries
):
    first, *others = people(8)
    book(event, first)
    with django_assert_max_num_queries(100) as few:
        boss.get(LIST)
    book(event, *others)

    with django_assert_max_num_queries(len(few)):
        boss.get(LIST)


@pytest.mark.parametrize(("kind", "text"), [("event_event", "event"), ("auth_user", "user")])
def test_event_and_user_are_found_by_typing(boss, event, bob, kind, text):
    name = {"event": event.title, "user": "bob"}[text]

    response = boss.get(
        "/admin/autocomplete/",
        {"app_label": "reservation", "model_name": "reservation", "field_name": text, "term": name[:3]},
    )

    assert [result["text"] for result in response.json()["results"]] == [name]


def test_page_of_an_event_lists_the_first_attendees_and_links_to_all(boss, alice, event_of, people):
    event = event_of(alice, capacity=100)
    held = book(event, *people(MAX_ROWS + 1))

    response = boss.get(page("event_event", event))

    links = [f'<a href="{page("reservation_reservation", reservation)}">' for reservation in held]
    assert [link in response.text for link in links] == [True] * MAX_ROWS + [False]
    assert f'<a href="{LIST}?event__id__exact={event.pk}">All {MAX_ROWS + 1} reservations</a>' in response.text
    assert f'<a href="{ADD}?event={event.pk}">Book for a user</a>' in response.text


def test_link_to_all_finds_the_reservations_of_one_event(boss, alice, bob, event_of):
    [wanted] = book(event_of(alice), bob)
    book(event_of(alice), bob)

    response = boss.get(f"{LIST}?event__id__exact={wanted.event_id}")

    assert list(response.context["cl"].result_list) == [wanted]


def test_deleting_an_event_asks_with_the_number_of_its_reservations(boss, event, bob):
    book(event, bob)

    response = boss.get(reverse("admin:event_event_delete", args=[event.pk]))

    assert "Event: Concert (booked: 1)" in response.text


def test_page_of_a_user_shows_what_they_organize_and_attend(boss, alice, event):
    [reservation] = book(event, alice)

    response = boss.get(page("auth_user", alice))

    assert f'<a href="{page("event_event", event)}">Concert</a>' in response.text
    assert f'<a href="{page("reservation_reservation", reservation)}">Concert</a>' in response.text


def test_deleting_a_user_gives_the_seats_back(boss, event, bob):
    book(event, bob)

    delete_selected(boss, "auth_user", [bob])

    assert seats_left(event) == 10


def test_organizer_is_not_deleted(boss, alice, event):
    delete_selected(boss, "auth_user", [alice])

    assert Event.objects.get().organizer == alice


def test_pages_respect_view_permissions(event, bob):
    book(event, bob)
    viewer = staff("eve", "view_event", "view_user")

    assert "attendees" not in viewer.get(page("event_event", event)).text.lower()
    assert "attends" not in viewer.get(page("auth_user", bob)).text.lower()


def test_event_deletion_needs_permission_for_reservations(event, bob):
    book(event, bob)
    organizer = staff("eve", "view_event", "delete_event")

    delete_selected(organizer, "event_event", [event])

    assert Event.objects.exists()


def test_viewer_is_read_only(event, bob):
    [reservation] = book(event, bob)
    viewer = staff("eve", "view_reservation")

    assert viewer.get(page("reservation_reservation", reservation)).status_code == 200
    assert viewer.post(ADD, {"event": event.pk, "user": bob.pk}).status_code == 403
    delete_selected(viewer, "reservation_reservation", [reservation])
    assert Reservation.objects.get() == reservation


def test_event_is_edited_while_its_reservations_come_and_go(boss, event, bob):
    opened = form_of(event, title="Renamed")
    [reservation] = book(event, bob)
    reservation.cancel()

    boss.post(page("event_event", event), opened)

    assert Event.objects.get().title == "Renamed"


def test_deleting_a_user_says_what_is_cancelled_and_needs_the_right_to(bob, event):
    Reservation.objects.book(user=bob, event_id=event.pk)
    url = reverse("admin:auth_user_delete", args=[bob.pk])
    without = staff("clerk", "view_user", "delete_user", "delete_token")

    shown = superuser().get(url).content.decode()
    refused = without.post(url, {"post": "yes"})

    assert "Reservations to be cancelled: 1" in shown
    assert refused.status_code == 403
    assert Reservation.objects.exists()
