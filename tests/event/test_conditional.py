"""Conditional GET: 304 if the client's ETag is current, and only then."""

import pytest
from django.db import connection

from reservation.models import Reservation


@pytest.fixture(params=["event", "events"])
def address(request, routes, event):
    return routes.event(event) if request.param == "event" else routes.events


@pytest.fixture
def tag(api, address):
    return api.get(address)["ETag"]


def status(client, address, tag):
    return client.get(address, headers={"if-none-match": tag}).status_code


def test_unchanged_response_is_304(api, address, tag):
    response = api.get(address, headers={"if-none-match": tag})

    assert response.status_code == 304
    assert response.content == b""
    assert response["ETag"] == tag


@pytest.mark.parametrize("spelled", ["W/{}", '"other", {}', "*"])
def test_etag_formats_match(api, address, tag, spelled):
    assert status(api, address, spelled.format(tag)) == 304


def test_other_conditional_headers_are_ignored(api, address):
    conditions = {"if-match": '"other"', "if-unmodified-since": "Thu, 01 Jan 2099 00:00:00 GMT"}

    assert api.get(address, headers=conditions).status_code == 200


def test_version_changes_etag(api, address, tag, settings):
    settings.PROJECT = settings.PROJECT | {"version": "1.0.1"}

    assert status(api, address, tag) == 200


def test_response_must_be_revalidated(api, address):
    assert api.get(address)["Cache-Control"] == "no-cache"


def test_head_is_conditional_too(api, address, tag):
    assert api.head(address, headers={"if-none-match": tag}).status_code == 304


def test_booking_changes_the_tag(api, address, tag, bob, event):
    Reservation.objects.book(user=bob, event_id=event.pk)

    response = api.get(address, headers={"if-none-match": tag})

    assert response.status_code == 200
    assert 'seats_remaining":9' in response.content.decode()
    assert response["ETag"] != tag


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("title", "Recital"),
        ("description", "Sold by the row"),
        ("start_time", "2031-01-01 10:00:00+00:00"),
        ("end_time", "2999-01-01 10:00:00+00:00"),
        ("show_time", "2031-01-01 09:00:00+00:00"),
        ("capacity", 11),
        ("seats_remaining", 3),
    ],
)
def test_every_field_changes_etag(api, address, tag, event, column, value):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE event_event SET end_time = '2998-01-01 10:00:00+00:00'")
        before = api.get(address)["ETag"]
        cursor.execute(f"UPDATE event_event SET {column} = %s", [value])

    assert status(api, address, before) == 200


def test_new_event_changes_the_list(api, routes, alice, event_of, event):
    tag = api.get(routes.events)["ETag"]
    event_of(alice)

    assert status(api, routes.events, tag) == 200


def test_etag_depends_on_query(api, routes, event):
    tag = api.get(routes.events)["ETag"]

    assert status(api, f"{routes.events}?page_size=1", tag) == 200


def test_etag_depends_on_count(api, routes, alice, event_of, event):
    tag = api.get(f"{routes.events}?page_size=1")["ETag"]
    event_of(alice, start_time=event.end_time)

    assert status(api, f"{routes.events}?page_size=1", tag) == 200


def test_deleted_event_is_404(api, routes, event):
    tag = api.get(routes.event(event))["ETag"]
    event.delete()

    assert status(api, routes.event(event), tag) == 404


def test_private_events_are_401_before_304(api, address, tag, settings):
    settings.EVENTS_PUBLIC = False

    assert status(api, address, tag) == 401
