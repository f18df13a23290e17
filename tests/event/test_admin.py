"""Managing events in the admin."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db import IntegrityError
from django.urls import reverse
from django.utils import timezone

from event.models import Event, EventQuerySet
from eventmanagement.serving.admin import CHANGED_MEANWHILE
from reservation.models import Reservation
from tests.admin import delete_selected, errors, form_of, moment, staff
from tests.ledger import assert_balanced, book, seats_left

LIST = "/admin/event/event/"
ADD = "/admin/event/event/add/"


def page(row, kind="event_event"):
    return reverse(f"admin:{kind}_change", args=[row.pk])


def shown(response):
    return [event.title for event in response.context["cl"].result_list]


def test_list_shows_how_much_is_booked(boss, event, bob):
    book(event, bob)

    response = boss.get(LIST)

    assert '<progress max="10" value="1"></progress> 1 of 10' in response.text


def test_list_takes_as_many_queries_for_many_events_as_for_one(
    boss, alice, bob, event_of, django_assert_max_num_queries
):
    event_of(alice)
    with django_assert_max_num_queries(100) as few:
        boss.get(LIST)
    for organizer in [alice, bob] * 5:
        event_of(organizer)

    with django_assert_max_num_queries(len(few)):
        boss.get(LIST)


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", ["over", "empty", "nearly", "full"]),
        ("seats=sold_out", ["full"]),
        ("seats=few", ["nearly"]),
        ("seats=left", ["over", "empty", "nearly"]),
        ("start=not_started", ["empty", "nearly", "full"]),
        ("start=started", ["over"]),
        ("q=harbour", ["nearly"]),
        ("q=alice", ["over", "empty", "nearly", "full"]),
        ("o=-3.2", ["full", "nearly", "over", "empty"]),
    ],
)
def test_list_is_filtered_searched_and_sorted(boss, alice, event_of, people, query, titles):
    now = timezone.now()
    event_of(alice, title="over", start_time=now - timedelta(days=1))
    event_of(alice, title="empty", start_time=now + timedelta(days=1))
    nearly = event_of(alice, title="nearly", start_time=now + timedelta(days=2), description="At the harbour")
    full = event_of(alice, title="full", start_time=now + timedelta(days=3), capacity=2)
    crowd = people(9)
    book(nearly, *crowd)
    book(full, *crowd[:2])

    response = boss.get(f"{LIST}?{query}")

    assert shown(response) == titles


def test_event_is_added_with_all_its_seats_and_logged(boss, alice):
    start = timezone.now() + timedelta(days=7)
    new = Event(title="Opening", organizer=alice, capacity=5, start_time=start, end_time=start + timedelta(hours=1))

    boss.post(ADD, form_of(new))

    assert Event.objects.get().seats_remaining == 5
    assert LogEntry.objects.get().action_flag == ADDITION


def test_organizer_defaults_to_current_user(boss):
    response = boss.get(ADD)

    assert response.context["adminform"].form.initial["organizer"] == response.context["user"].pk


def test_event_that_is_over_is_refused(boss, alice):
    start = timezone.now() - timedelta(days=1)
    new = Event(title="Gone", organizer=alice, capacity=5, start_time=start, end_time=start + timedelta(hours=1))

    response = boss.post(ADD, form_of(new))

    assert errors(response) == {"end_time": ["The event is already over."]}


def test_event_that_started_more_than_a_year_ago_is_refused(boss, alice):
    now = timezone.now()
    start, end = now - timedelta(days=366), now + timedelta(days=1)
    new = Event(title="Long", organizer=alice, capacity=5, start_time=start, end_time=end)

    response = boss.post(ADD, form_of(new))

    assert errors(response) == {"start_time": ["The start can't be more than a year in the past."]}


def test_start_is_not_moved_to_more_than_a_year_ago(boss, event):
    response = boss.post(page(event), form_of(event, **moment("start_time", timezone.now() - timedelta(days=366))))

    assert errors(response) == {"start_time": ["The start can't be more than a year in the past."]}


def test_unchanged_old_start_is_accepted(boss, alice, event_of):
    event = event_of(alice, start_time=timezone.now().replace(microsecond=0) - timedelta(days=1000))

    boss.post(page(event), form_of(event, title="As it was"))

    event.refresh_from_db()
    assert event.title == "As it was"


def test_event_that_is_over_can_still_be_edited(boss, alice, event_of):
    event = event_of(alice, start_time=timezone.now() - timedelta(days=1))

    boss.post(page(event), form_of(event, title="As it was"))

    event.refresh_from_db()
    assert event.title == "As it was"


def test_description_that_is_too_long_is_refused(boss, event):
    response = boss.post(page(event), form_of(event, description="x" * 10_001))

    assert errors(response) == {
        "description": ["Ensure this value has at most 10000 characters (it has 10001)."],
    }


def test_event_that_ends_before_it_starts_is_refused(boss, event):
    response = boss.post(page(event), form_of(event, **moment("end_time", event.start_time - timedelta(hours=1))))

    assert errors(response) == {"end_time": ["The event must end after it starts."]}


def test_doors_that_open_after_the_end_are_an_error_of_their_field(boss, event):
    response = boss.post(page(event), form_of(event, **moment("show_time", event.end_time + timedelta(hours=1))))

    assert errors(response) == {"show_time": ["The doors can't open after the event ends."]}


def test_errors_are_listed_above_the_form_with_links_to_their_fields(boss, event, bob, carol):
    book(event, bob, carol)

    response = boss.post(page(event), form_of(event, capacity=1))

    summary = response.text.split('<ul class="error-summary">')[1].split("</ul>")[0]
    assert '<a href="#id_capacity">Capacity</a>: The capacity can&#x27;t be less than' in summary


def test_capacity_moves_the_seats_and_is_logged(boss, event, bob):
    book(event, bob)

    boss.post(page(event), form_of(event, capacity=4))

    event.refresh_from_db()
    assert (event.capacity, event.seats_remaining) == (4, 3)
    assert LogEntry.objects.get().action_flag == CHANGE


def test_capacity_below_the_reserved_is_an_error_of_its_field(boss, event, bob, carol):
    book(event, bob, carol)

    response = boss.post(page(event), form_of(event, capacity=1))

    event.refresh_from_db()
    assert errors(response) == {
        "capacity": ["The capacity can't be less than the number of reserved seats (2)."],
    }
    assert (event.capacity, seats_left(event)) == (10, 8)
    assert not LogEntry.objects.exists()


def test_seats_booked_since_the_page_was_opened_stay_booked(boss, event, bob):
    opened = form_of(event, title="Renamed")
    book(event, bob)

    boss.post(page(event), opened)

    event.refresh_from_db()
    assert (event.title, event.seats_remaining) == ("Renamed", 9)


def test_seats_remaining_is_not_written(boss, event):
    boss.post(page(event), form_of(event, seats_remaining=3))

    event.refresh_from_db()
    assert event.seats_remaining == 10


@pytest.mark.parametrize("everything", [True, False], ids=["selected", "one"])
def test_deletion_includes_reservations_and_is_logged(boss, event, alice, bob, event_of, everything):
    book(event, bob)
    [kept] = book(event_of(alice), bob)

    if everything:
        delete_selected(boss, "event_event", [event])
    else:
        boss.post(reverse("admin:event_event_delete", args=[event.pk]), {"post": "yes"})

    assert list(Event.objects.all()) == [kept.event]
    assert list(Reservation.objects.all()) == [kept]
    assert LogEntry.objects.get().action_flag == DELETION
    assert_balanced()


def test_list_says_what_is_sold_out(boss, alice, bob, event_of):
    book(event_of(alice, capacity=1), bob)
    event_of(alice)

    response = boss.get(LIST)

    assert response.text.count("<strong>sold out</strong>") == 1


def test_times_have_one_format_with_the_time_zone(boss, alice, event_of):
    start = datetime(2040, 5, 1, 19, 30, tzinfo=UTC)
    event = event_of(alice, start_time=start)
    boss.post(page(event), form_of(event, title="Renamed"))
    LogEntry.objects.update(action_time=start)
    viewer = staff("eve", "view_event")
    pages = ["/admin/", LIST, f"{page(event)[: -len('change/')]}history/", page(alice, "auth_user")]

    assert ["2040-05-01 19:30 UTC" in boss.get(path).text for path in pages] == [True] * len(pages)
    assert "2040-05-01 19:30 UTC" in viewer.get(page(event)).text
    assert "Time zone: UTC." in boss.get(page(event)).text


def test_first_page_says_how_full_the_next_events_are(boss, alice, bob, event_of):
    book(event_of(alice, title="Tomorrow", capacity=1), bob)
    event_of(alice, title="Later", start_time=timezone.now() + timedelta(days=9))
    event_of(alice, title="Yesterday", start_time=timezone.now() - timedelta(days=1))

    response = boss.get("/admin/")

    assert [event.title for event in response.context["events"]] == ["Tomorrow", "Later"]
    assert "1 of 11 seats booked, in 2 events that have not started." in response.text
    assert "sold out" in response.text
    assert "Next events" in response.text


def test_index_hides_events_without_permission(event):
    response = staff("eve", "view_user").get("/admin/")

    assert "Next events" not in response.text


def test_viewer_is_read_only(event):
    viewer = staff("eve", "view_event")

    assert viewer.get(page(event)).status_code == 200
    assert viewer.post(page(event), form_of(event, title="Mine")).status_code == 403
    assert viewer.get(ADD).status_code == 403
    assert viewer.post(reverse("admin:event_event_delete", args=[event.pk]), {"post": "yes"}).status_code == 403
    delete_selected(viewer, "event_event", [event])
    assert Event.objects.get().title == event.title


def test_stale_page_saves_only_edited_fields(boss, event):
    opened = form_of(event)
    Event.objects.filter(pk=event.pk).update(title="Renamed meanwhile", capacity=50)

    response = boss.post(
        page(event),
        opened | {f"initial-{name}": value for name, value in opened.items()} | {"description": "Edited here."},
    )

    assert response.status_code == 302
    event.refresh_from_db()
    assert (event.title, event.capacity, event.description) == ("Renamed meanwhile", 50, "Edited here.")


def test_stale_page_is_validated_with_current_values(boss, event):
    opened = form_of(event)
    earlier = {"start_time": event.start_time - timedelta(hours=3), "end_time": event.start_time - timedelta(hours=2)}
    Event.objects.filter(pk=event.pk).update(**earlier)
    later = moment("start_time", event.start_time + timedelta(hours=1))

    response = boss.post(page(event), opened | {f"initial-{name}": value for name, value in opened.items()} | later)

    assert "The event must end after it starts." in response.content.decode()


def test_page_of_an_event_deleted_meanwhile_says_so(boss, event, monkeypatch):
    form = form_of(event, title="Renamed")
    monkeypatch.setattr(EventQuerySet, "locked", lambda events: events.none())

    response = boss.post(page(event), form)

    assert "This event has been deleted." in response.content.decode()


def test_page_of_an_event_that_does_not_exist_says_so(boss, event):
    path = page(event)
    Event.objects.all().delete()

    response = boss.post(path, {"title": "Renamed"}, follow=True)

    [message] = [str(message) for message in response.context["messages"]]
    assert "Perhaps it was deleted?" in message


def test_conflict_with_another_request_is_a_message(boss, event, monkeypatch):
    def conflict(*args, **options):
        raise IntegrityError

    monkeypatch.setattr(Event, "save", conflict)

    response = boss.post(page(event), form_of(event, title="Renamed"), follow=True)

    assert [str(message) for message in response.context["messages"]] == [CHANGED_MEANWHILE]
    assert Event.objects.get().title == event.title
    assert not LogEntry.objects.exists()
