from datetime import timedelta

import pytest
from django.utils import timezone

from event.models import Event

STANDS = {"cancelled_at": None, "cancellation_reason": ""}
CONCERT = {
    "title": "Concert",
    "description": "Strings.",
    "start_time": "2999-06-01T19:00:00Z",
    "end_time": "2999-06-01T22:00:00Z",
    "show_time": "2999-06-01T18:30:00Z",
    "capacity": 120,
}


def test_creator_becomes_the_organizer(as_user, alice, routes):
    response = as_user(alice).post(routes.events, CONCERT)

    event = Event.objects.get()
    assert response.status_code == 201
    assert response.json() == CONCERT | STANDS | {
        "id": event.pk,
        "seats_remaining": 120,
        "waiting": 0,
        "organizer": alice.pk,
    }


def test_anonymous_is_refused(api, routes):
    response = api.post(routes.events, CONCERT)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"


def test_description_may_be_empty_and_doors_unknown(as_user, alice, routes):
    sent = {field: CONCERT[field] for field in ("title", "start_time", "end_time", "capacity")}

    response = as_user(alice).post(routes.events, sent)

    assert response.status_code == 201
    assert response.json()["description"] == ""
    assert response.json()["show_time"] is None


def test_read_only_fields_are_ignored(as_user, alice, bob, routes):
    sent = CONCERT | {"id": 77, "organizer": bob.pk, "seats_remaining": 1}
    sent |= {"cancelled_at": CONCERT["start_time"], "cancellation_reason": "x"}

    event = as_user(alice).post(routes.events, sent).json()

    assert event["id"] != 77
    assert event["organizer"] == alice.pk
    assert event["seats_remaining"] == 120
    assert event.items() >= STANDS.items()


def test_times_are_answered_in_utc(as_user, alice, routes):
    event = as_user(alice).post(routes.events, CONCERT | {"start_time": "2999-06-01T20:00:00+02:00"}).json()

    assert event["start_time"] == "2999-06-01T18:00:00Z"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", "  "),
        ("title", "x" * 201),
        ("title", "nul\0"),
        ("title", None),
        ("title", {"en": "Concert"}),
        ("description", "x" * 10_001),
        ("description", None),
        ("description", "nul\0"),
        ("capacity", 0),
        ("capacity", -1),
        ("capacity", 2**31),
        ("capacity", 10**30),
        ("capacity", "many"),
        ("capacity", 1.5),
        ("capacity", True),
        ("capacity", None),
        ("capacity", [1]),
        ("start_time", "soon"),
        ("start_time", None),
        ("start_time", 5),
        ("start_time", "2999-02-30T00:00:00Z"),
        ("end_time", "9999-12-31T23:59:59-14:00"),
        ("show_time", "0001-01-01T00:00:00+14:00"),
        ("show_time", "2999-06-01T22:00:01Z"),
    ],
)
def test_bad_values_are_refused_on_their_field(as_user, alice, routes, field, value):
    response = as_user(alice).post(routes.events, CONCERT | {field: value})

    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert not Event.objects.exists()


@pytest.mark.parametrize(("field", "length"), [("title", 200), ("description", 10_000)])
def test_longest_texts_are_kept(as_user, alice, routes, field, length):
    response = as_user(alice).post(routes.events, CONCERT | {field: f" {'x' * length} "})

    assert response.status_code == 201
    assert response.json()[field] == "x" * length


@pytest.mark.parametrize("field", ["title", "start_time", "end_time", "capacity"])
def test_missing_values_are_refused_on_their_field(as_user, alice, routes, field):
    response = as_user(alice).post(routes.events, {name: value for name, value in CONCERT.items() if name != field})

    assert response.status_code == 400
    assert list(response.json()) == [field]


@pytest.mark.parametrize("end", [CONCERT["start_time"], "2999-06-01T18:59:59Z"], ids=["at once", "before"])
def test_event_must_end_after_it_starts(as_user, alice, routes, end):
    response = as_user(alice).post(routes.events, CONCERT | {"end_time": end, "show_time": None})

    assert response.status_code == 400
    assert response.json() == {"end_time": ["The event must end after it starts."]}


def test_event_that_is_over_is_refused(as_user, alice, routes):
    end = timezone.now() - timedelta(seconds=1)
    times = {"start_time": end - timedelta(hours=1), "end_time": end, "show_time": None}

    response = as_user(alice).post(routes.events, CONCERT | times)

    assert response.status_code == 400
    assert response.json() == {"end_time": ["The event is already over."]}


def test_running_event_is_accepted(as_user, alice, routes):
    now = timezone.now()
    times = {"start_time": now - timedelta(hours=1), "end_time": now + timedelta(hours=1), "show_time": None}

    response = as_user(alice).post(routes.events, CONCERT | times)

    assert response.status_code == 201


@pytest.mark.parametrize(("days", "status"), [(364, 201), (366, 400)])
def test_event_can_have_started_within_the_last_year(as_user, alice, routes, days, status):
    times = {"start_time": timezone.now() - timedelta(days=days), "show_time": None}

    response = as_user(alice).post(routes.events, CONCERT | times)

    assert response.status_code == status
    if status == 400:
        assert response.json() == {"start_time": ["The start can't be more than a year in the past."]}


@pytest.mark.parametrize("doors", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00"])
def test_extreme_datetimes_are_stored(as_user, alice, routes, doors):
    response = as_user(alice).post(
        routes.events, CONCERT | {"show_time": doors, "end_time": "9999-12-31T23:59:59.999999"}
    )

    assert response.status_code == 201
    assert response.json()["show_time"] == "0001-01-01T00:00:00Z"
    assert response.json()["end_time"] == "9999-12-31T23:59:59.999999Z"


def test_minimum_datetime_is_refused(as_user, alice, routes):
    response = as_user(alice).post(routes.events, CONCERT | {"start_time": "0001-01-01T00:00:00Z"})

    assert response.status_code == 400
    assert list(response.json()) == ["start_time"]
