"""Booking and cancelling for other users in the admin."""

import html
import re
from copy import copy
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, OperationalError, connection
from django.urls import reverse
from django.utils import timezone

from event.admin import event_label
from event.models import Event
from eventmanagement.serving import admin as site
from eventmanagement.serving.admin import CHANGED_MEANWHILE, MAX_LISTED, MAX_SELECTED, TOO_BUSY
from eventmanagement.serving.middleware import MAX_FORM_SIZE
from reservation.admin import MAX_ROWS
from reservation.models import Reservation, ReservationQuerySet
from tests.admin import delete_selected, errors, form_of, staff, superuser
from tests.ledger import assert_balanced, book, seats_left

LIST = "/admin/reservation/reservation/"
ADD = "/admin/reservation/reservation/add/"


def page(kind, row):
    return reverse(f"admin:{kind}_change", args=[row.pk])


def logged(model):
    """Return the entries of the admin history about rows of this model."""
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model)).order_by("pk")
    return list(entries.values_list("action_flag", "change_message"))


def test_booking_for_somebody_takes_a_seat_and_is_logged(boss, event, bob):
    boss.post(ADD, {"event": event.pk, "user": bob.pk})

    assert bob.reservations.get().event == event
    assert seats_left(event) == 9
    assert logged(Reservation) == [(ADDITION, '[{"added": {}}]')]
    assert logged(Event) == [(CHANGE, "Booked a seat for bob.")]


def test_pages_and_list_mark_events_that_were_called_off(boss, alice, bob, event_of):
    event = event_of(alice, start_time=datetime(2040, 5, 1, 19, tzinfo=UTC))
    [reservation] = book(event, bob)
    pages = page("reservation_reservation", reservation), LIST
    assert all("2040-05-01 19:00 UTC<" in boss.get(each).text for each in pages)

    event.cancel()

    marked = '2040-05-01 19:00 UTC <strong class="called-off">called off</strong>'
    assert all(marked in boss.get(each).text for each in pages)
    assert all("event/admin.css" in boss.get(each).text for each in pages)


def test_page_of_a_user_marks_events_that_were_called_off(boss, alice, bob, event_of):
    event = event_of(alice, title="Chess")
    book(event, bob)
    event.cancel()

    pages = [boss.get(page("auth_user", user)).text for user in (alice, bob)]

    assert all("Chess (called off)</a>" in each for each in pages)
    assert all("event/admin.css" in each for each in pages)


def test_sold_out_event_is_an_error_of_the_form(boss, alice, bob, carol, event_of):
    event = event_of(alice, capacity=1)
    book(event, bob)

    response = boss.post(ADD, {"event": event.pk, "user": carol.pk})

    assert errors(response) == {"event": ["This event has no seats left."]}
    assert not carol.reservations.exists()


def test_second_seat_for_the_same_person_is_an_error_of_the_form(boss, event, bob):
    book(event, bob)

    response = boss.post(ADD, {"event": event.pk, "user": bob.pk})

    assert errors(response) == {"user": ["bob already has a seat at this event."]}
    assert seats_left(event) == 9


def test_event_that_has_started_is_an_error_of_the_form(boss, alice, bob, event_of):
    event = event_of(alice, start_time=timezone.now() - timedelta(minutes=1))

    response = boss.post(ADD, {"event": event.pk, "user": bob.pk})

    assert errors(response).keys() == {"event"}
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
    assert logged(Reservation) == [(DELETION, "Cancelled.")]
    assert logged(Event) == [(CHANGE, "Cancelled the seat of bob.")]


def test_several_are_cancelled_at_once(boss, alice, bob, carol, event_of):
    first, second = event_of(alice), event_of(alice)
    held = book(first, bob, carol) + book(second, bob, carol)

    response = delete_selected(boss, "reservation_reservation", held)

    assert "Successfully cancelled 4 reservations." in response.text
    assert (seats_left(first), seats_left(second)) == (10, 10)
    assert len(logged(Reservation)) == len(logged(Event)) == 4


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
    name = {"event": event_label(event), "user": "bob"}[text]

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


def fill(event, people):
    """Insert a reservation for each of these users, without booking one by one."""
    seats = [(event.pk, person.pk) for person in people]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO reservation_reservation (event_id, user_id) VALUES (%s, %s)", seats)
        cursor.execute("UPDATE event_event SET seats_remaining = capacity - %s WHERE id = %s", [len(people), event.pk])


def confirm(client, path, page):
    """Submit the confirmation page of an action as a browser does."""
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)">', page)
    return client.post(path, urlencode(fields), content_type="application/x-www-form-urlencoded", follow=True)


@pytest.mark.parametrize("kind", ["reservation_reservation", "event_event", "auth_user"])
def test_more_than_a_thousand_rows_are_deleted(boss, alice, event_of, people, kind):
    crowd = people(1001)
    if kind == "event_event":
        start = timezone.now() + timedelta(days=1)
        new = Event(title="New", organizer=alice, capacity=5, start_time=start, end_time=start + timedelta(hours=1))
        Event.objects.bulk_create([copy(new) for _ in range(1001)])
    else:
        fill(event_of(alice, capacity=1001), crowd)
    path = reverse(f"admin:{kind}_changelist") + ("?q=person" if kind == "auth_user" else "")
    chosen = {"action": "delete_selected", "index": 0, "select_across": 1, "_selected_action": 1}

    shown = boss.post(path, chosen)
    response = confirm(boss, path, shown.text)

    assert "and " in shown.text
    assert [str(message).rsplit(" ", 1)[0][-5:] for message in response.context["messages"]] == [" 1001"]
    assert not Reservation.objects.exists()
    assert_balanced()


def test_more_rows_than_the_limit_are_deleted_in_several_steps(boss, alice, event_of, people, monkeypatch):
    monkeypatch.setattr(site, "MAX_SELECTED", 2)
    monkeypatch.setattr(site, "MAX_LISTED", 1)
    book(event_of(alice), *people(3))
    chosen = {"action": "delete_selected", "index": 0, "select_across": 1, "_selected_action": 1}

    shown = boss.post(LIST, chosen)
    response = confirm(boss, LIST, shown.text)

    assert "You selected 3 reservations. At most 2 can be cancelled at once: these are the first 2." in shown.text
    assert "and 1 more" in shown.text
    assert [str(message) for message in response.context["messages"]] == ["Successfully cancelled 2 reservations."]
    assert Reservation.objects.count() == 1


def test_limit_fits_into_the_limits_of_a_form(settings):
    longest_field = len(f"_selected_action={2**63}&")

    assert MAX_SELECTED + 10 <= settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    assert MAX_SELECTED * longest_field < MAX_FORM_SIZE
    assert MAX_LISTED <= MAX_SELECTED


@pytest.mark.parametrize(
    ("error", "message"), [(OperationalError, TOO_BUSY), (IntegrityError, CHANGED_MEANWHILE)], ids=["busy", "conflict"]
)
def test_deletion_that_fails_changes_nothing_and_says_so(boss, event, bob, monkeypatch, error, message):
    held = book(event, bob)
    delete = ReservationQuerySet.delete

    def fail(reservations):
        delete(reservations)
        raise error

    monkeypatch.setattr(ReservationQuerySet, "delete", fail)

    response = delete_selected(boss, "reservation_reservation", held)

    assert [str(each) for each in response.context["messages"]] == [message]
    assert Reservation.objects.exists()
    assert seats_left(event) == 9
    assert not LogEntry.objects.exists()


def test_message_if_selected_rows_are_already_deleted(boss, event, bob):
    held = book(event, bob)
    held[0].cancel()

    response = delete_selected(boss, "reservation_reservation", held)

    assert [str(each) for each in response.context["messages"]] == ["Successfully cancelled 0 reservations."]


def test_pages_say_cancel_instead_of_delete_for_one_reservation(boss, event, bob):
    [reservation] = book(event, bob)
    url = reverse("admin:reservation_reservation_delete", args=[reservation.pk])

    pages = [boss.get(page("reservation_reservation", reservation)).text, boss.get(url).text]
    response = boss.post(url, {"post": "yes"}, follow=True)

    assert ["Cancel" in text for text in pages] == [True, True]
    assert re.findall(r">[^<]*[Dd]elet[^<]*<|value=.[^\"]*[Dd]elet", "".join(pages)) == []
    assert event_label(event) in pages[1]
    assert [str(each) for each in response.context["messages"]] == ["The reservation “bob at Concert” was cancelled."]
    assert response.redirect_chain == [(LIST, 302)]


def test_action_says_cancel_instead_of_delete(boss, event, bob):
    [reservation] = book(event, bob)

    text = boss.post(LIST, {"action": "delete_selected", "index": 0, "_selected_action": reservation.pk}).text

    assert "Do you want to cancel the following reservation?" in text
    assert re.findall(r">[^<]*[Dd]elet[^<]*<", text) == []


@pytest.mark.parametrize(("permission", "path"), [("view_event", "event"), ("add_event", "list")])
def test_booking_from_the_page_of_an_event_leads_back_to_it(event, bob, permission, path):
    client = staff("eve", "view_reservation", "add_reservation", permission)
    pages = {"event": page("event_event", event), "list": LIST}

    response = client.post(f"{ADD}?event={event.pk}", {"event": event.pk, "user": bob.pk}, follow=True)

    assert response.redirect_chain == [(pages[path], 302)]
    assert "was added successfully" in response.text


def test_booking_from_elsewhere_leads_to_the_list(boss, event, bob):
    response = boss.post(ADD, {"event": event.pk, "user": bob.pk})

    assert response["Location"] == LIST


def test_link_to_book_needs_the_permission_to(event):
    viewer = staff("eve", "view_event", "view_reservation")
    clerk = staff("carl", "view_event", "add_reservation")

    assert ADD not in viewer.get(page("event_event", event)).text
    assert f"{ADD}?event={event.pk}" in clerk.get(page("event_event", event)).text


def test_events_with_the_same_title_have_different_labels(boss, alice, event_of):
    first, second = event_of(alice), event_of(alice, start_time=timezone.now() + timedelta(days=9))

    response = boss.get(f"{ADD}?event={second.pk}")

    assert event_label(first) != event_label(second)
    assert f">{event_label(second)}</option>" in response.text


def test_history_of_an_event_says_that_a_user_was_deleted(boss, event, bob):
    book(event, bob)

    delete_selected(boss, "auth_user", [bob])

    assert logged(Event) == [(CHANGE, "Deleted the account and cancelled the seat of bob.")]


def test_no_link_leads_a_viewer_to_a_forbidden_page(event, bob):
    book(event, bob)
    viewer = staff("eve", *Permission.objects.filter(codename__startswith="view_").values_list("codename", flat=True))
    found, visited = {"/admin/"}, set()
    while found:
        path = found.pop()
        visited.add(path)
        response = viewer.get(path)
        assert response.status_code == 200, path
        # Also reads the file with the attendees.
        text = b"".join(response).decode()
        links = {urljoin(path, html.unescape(link)) for link in re.findall(r'<a[^>]* href="([^"]*)"', text)}
        found |= {urlsplit(link).path for link in links if link.startswith("/admin/")} - visited

    assert {page("event_event", event), page("auth_user", bob)} <= visited
