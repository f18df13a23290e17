from datetime import timedelta

import pytest
from django.utils import timezone

from event.models import Event
from event.views import EventViewSet
from reservation.models import Reservation
from tests.conftest import LONG, SHORT
from tests.ledger import assert_balanced, begin, seats_left

STANDS = {"cancelled_at": None, "cancellation_reason": ""}
MATINEE = {
    "title": "Matinee",
    "description": "Earlier.",
    "start_time": "2999-06-01T14:00:00Z",
    "end_time": "2999-06-01T16:00:00Z",
    "show_time": "2999-06-01T13:30:00Z",
    "capacity": 20,
}


def test_organizer_replaces_the_event(as_user, alice, routes, event):
    response = as_user(alice).put(routes.event(event), MATINEE)

    assert response.status_code == 200
    assert response.json() == MATINEE | STANDS | {
        "id": event.pk,
        "seats_remaining": 20,
        "waiting": 0,
        "organizer": alice.pk,
    }
    assert as_user(alice).get(routes.event(event)).json() == response.json()


def test_organizer_changes_one_field(as_user, alice, routes, event):
    before = as_user(alice).get(routes.event(event)).json()

    response = as_user(alice).patch(routes.event(event), {"title": "Matinee"})

    assert response.status_code == 200
    assert response.json() == before | {"title": "Matinee"}


def test_put_needs_all_fields(as_user, alice, routes, event):
    response = as_user(alice).put(routes.event(event), {"title": "Matinee"})

    assert response.status_code == 400
    assert response.json().keys() == {"start_time", "end_time", "capacity"}


def test_read_only_fields_are_ignored(as_user, alice, bob, routes, event):
    response = as_user(alice).patch(routes.event(event), {"id": 77, "seats_remaining": 1, "organizer": bob.pk})

    assert response.status_code == 200
    assert (response.json()["id"], response.json()["seats_remaining"], response.json()["organizer"]) == (
        event.pk,
        10,
        alice.pk,
    )


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_only_organizer_can_edit(api, as_user, bob, routes, event, method):
    anonymous = getattr(api, method)(routes.event(event), MATINEE)
    attendee = getattr(as_user(bob), method)(routes.event(event), MATINEE)

    assert anonymous.status_code == 401
    assert attendee.status_code == 403
    assert attendee.json() == {
        "detail": "Only the organizer of this event may do this.",
        "code": "permission_denied",
    }
    assert Event.objects.get().title == "Concert"


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_missing_event_is_404(as_user, alice, routes, method):
    response = getattr(as_user(alice), method)(routes.event(99), MATINEE)

    assert response.status_code == 404


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_concurrently_deleted_event_is_404(as_user, alice, routes, event, method, monkeypatch):
    check = EventViewSet.check_object_permissions

    def delete_it_then(view, request, event):
        check(view, request, event)
        Event.objects.filter(pk=event.pk).delete()

    monkeypatch.setattr(EventViewSet, "check_object_permissions", delete_it_then)

    response = getattr(as_user(alice), method)(routes.event(event), MATINEE)

    assert response.status_code == 404


@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("media_type", ["json", "multipart"])
def test_put_resets_optional_fields(as_user, alice, routes, event_of, media_type):
    event = event_of(alice, description="Strings.", show_time=timezone.now())
    sent = {field: MATINEE[field] for field in ("title", "start_time", "end_time", "capacity")}

    response = as_user(alice).put(routes.event(event), sent, format=media_type)

    assert response.status_code == 200
    assert (response.json()["description"], response.json()["show_time"]) == ("", None)
    event.refresh_from_db()
    assert (event.description, event.show_time) == ("", None)


@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("media_type", ["json", "multipart"])
def test_patch_keeps_optional_fields(as_user, alice, routes, event_of, media_type):
    event = event_of(alice, description="Strings.", show_time=timezone.now())

    response = as_user(alice).patch(routes.event(event), {"title": "Matinee"}, format=media_type)

    assert response.json()["description"] == "Strings."
    assert response.json()["show_time"] is not None


@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
def test_doors_that_stay_after_the_end_are_refused_with_a_hint(as_user, alice, routes, event):
    client = as_user(alice)
    client.put(routes.event(event), MATINEE)
    earlier = {"start_time": "2999-05-01T14:00:00Z", "end_time": "2999-05-01T16:00:00Z"}

    alone = client.patch(routes.event(event), earlier)
    with_doors = client.patch(routes.event(event), earlier | {"show_time": MATINEE["show_time"]})
    without_doors = client.patch(routes.event(event), earlier | {"show_time": None})

    assert alone.status_code == with_doors.status_code == 400
    assert alone.json() == {
        "show_time": ["The doors can't open after the event ends. Send show_time too, with a new time or null."]
    }
    assert with_doors.json() == {"show_time": ["The doors can't open after the event ends."]}
    assert without_doors.status_code == 200


def test_doors_may_open_when_the_event_ends(as_user, alice, routes, event):
    response = as_user(alice).patch(routes.event(event), {"show_time": event.end_time})

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"end_time": "2000-01-01T00:00:00Z"}, "end_time"),
        ({"start_time": "9999-01-01T00:00:00Z"}, "end_time"),
        ({"show_time": "9999-01-01T00:00:00Z"}, "show_time"),
    ],
)
def test_changed_times_are_checked_against_those_that_stay(as_user, alice, routes, event, changes, refused):
    response = as_user(alice).patch(routes.event(event), changes)

    assert response.status_code == 400
    assert list(response.json()) == [refused]


def test_show_time_can_be_removed(as_user, alice, routes, event):
    as_user(alice).patch(routes.event(event), {"show_time": event.start_time})

    response = as_user(alice).patch(routes.event(event), {"show_time": None})

    assert response.json()["show_time"] is None


def test_capacity_moves_the_seats_that_remain(as_user, alice, bob, routes, event):
    Reservation.objects.book(user=bob, event_id=event.pk)

    response = as_user(alice).patch(routes.event(event), {"capacity": 4})

    assert response.status_code == 200
    assert (response.json()["capacity"], response.json()["seats_remaining"]) == (4, 3)
    assert seats_left(event) == 3


def test_capacity_can_be_cut_to_what_is_reserved_and_no_further(as_user, alice, people, routes, event):
    for person in people(3):
        Reservation.objects.book(user=person, event_id=event.pk)

    refused = as_user(alice).patch(routes.event(event), {"capacity": 2, "title": "Smaller"})
    accepted = as_user(alice).patch(routes.event(event), {"capacity": 3})

    assert refused.status_code == 400
    assert refused.json() == {
        "detail": "The capacity can't be less than the number of reserved seats (3).",
        "code": "capacity_below_reserved",
    }
    assert accepted.json()["seats_remaining"] == 0
    assert accepted.json()["title"] == "Concert"


@pytest.mark.parametrize(("field", "length"), [("title", 201), ("description", 10_001)])
def test_text_that_is_too_long_is_refused_on_its_field(as_user, alice, routes, event, field, length):
    response = as_user(alice).patch(routes.event(event), {field: "x" * length})

    assert response.status_code == 400
    assert response.json() == {field: [f"Ensure this field has no more than {length - 1} characters."]}


@pytest.mark.parametrize("capacity", [0, -5, 2**31, None, "x"])
def test_bad_capacity_is_refused_on_its_field(as_user, alice, routes, event, capacity):
    response = as_user(alice).patch(routes.event(event), {"capacity": capacity})

    assert response.status_code == 400
    assert list(response.json()) == ["capacity"]


def test_maximum_capacity_can_be_set_and_reset(as_user, alice, bob, routes, event):
    Reservation.objects.book(user=bob, event_id=event.pk)

    assert as_user(alice).patch(routes.event(event), {"capacity": 2**31 - 1}).json()["seats_remaining"] == 2**31 - 2
    assert as_user(alice).patch(routes.event(event), {"capacity": 1}).json()["seats_remaining"] == 0
    assert_balanced()


def test_start_is_not_moved_to_more_than_a_year_ago(as_user, alice, routes, event):
    response = as_user(alice).patch(routes.event(event), {"start_time": timezone.now() - timedelta(days=366)})

    assert response.status_code == 400
    assert response.json() == {"start_time": ["The start can't be more than a year in the past."]}


@pytest.mark.parametrize("method", ["put", "patch"])
def test_unchanged_old_start_is_accepted(as_user, alice, routes, event_of, method):
    event = event_of(alice, start_time=timezone.now() - timedelta(days=1000))
    shown = as_user(alice).get(routes.event(event)).json()

    response = getattr(as_user(alice), method)(routes.event(event), shown | {"title": "As it was"})

    assert response.status_code == 200
    assert response.json() == shown | {"title": "As it was"}


def test_past_event_can_still_be_edited(as_user, alice, routes, event):
    begin(event)

    response = as_user(alice).patch(routes.event(event), {"description": "It was good."})

    assert response.status_code == 200
