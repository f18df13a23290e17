"""An event as a file for calendar programs."""

import copy
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test import RequestFactory
from django.utils import timezone

from event.calendar import calendar_entry, calendar_response
from event.models import SHOWN_IN_CALENDARS, Event
from reservation.models import Reservation
from tests.calendars import entries, entry
from tests.conftest import LONG, SHORT
from tests.ledger import assert_balanced, book

NEW = {
    "title": "Opera",
    "description": "In two acts",
    "start_time": datetime(2999, 1, 1, 9, tzinfo=UTC),
    "end_time": datetime(2999, 1, 1, 23, tzinfo=UTC),
    "show_time": datetime(2999, 1, 1, 8, tzinfo=UTC),
}


@pytest.fixture
def read(api, event):
    """Return a function that reads the entry of the event."""
    return lambda: entry(api.get(LONG.event_calendar(event)))


def revision(event):
    return Event.objects.values_list("revision", flat=True).get(pk=event.pk)


@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
def test_file_describes_the_event(api, alice, event_of, routes):
    event = event_of(alice, **NEW | {"start_time": datetime(2999, 1, 1, 9, 0, 0, 123456, tzinfo=UTC)})

    response = api.get(routes.event_calendar(event))

    described = entry(response)
    assert abs(described.pop("dtstamp") - timezone.now()) < timedelta(minutes=1)
    assert described == {
        "uid": str(event.uid),
        "sequence": "0",
        "status": "CONFIRMED",
        "summary": "Opera",
        "description": "Doors open: 2999-01-01 08:00 UTC\n\nIn two acts",
        "dtstart": datetime(2999, 1, 1, 9, tzinfo=UTC),
        "dtend": datetime(2999, 1, 1, 23, tzinfo=UTC),
        "url": f"http://testserver{LONG.event(event)}",
    }
    assert b"DTSTART:29990101T090000Z\r\n" in response.content
    assert response["Cache-Control"] == "no-cache"
    assert response["Content-Disposition"].startswith('attachment; filename="Opera.ics"')


@pytest.mark.parametrize(
    "text",
    [
        "commas, semicolons; colons: and \\ backslashes \\n \\, \\;",
        r"C:\New \N \\N \\\N \;\N,\N",
        "quotes \" ' and ^n ^' carets",
        "Käse " * 40,
        "🎷" * 200,
        "漢字" * 100,
        "e\u0301" * 15 + "👩‍👩‍👧‍👦" * 20,
        "BEGIN:VEVENT",
        "x" * 200,
        ("x" * 73 + "é") * 2,
        "trailing space and ",
    ],
)
def test_any_text_is_read_back(api, alice, event_of, text):
    description = f" {text}\nEND:VEVENT\nBEGIN:VALARM\n\n\tindented\n{text}"
    event = event_of(alice, title=text, description=description)
    event.refresh_from_db()

    described = entry(api.get(LONG.event_calendar(event)))

    assert described["summary"] == event.title
    assert described["description"] == event.description


@pytest.mark.parametrize("letter", ["x", "é", "漢", "🎷", "\n", ","])
def test_longest_description_is_read_back(api, alice, event_of, letter):
    event = event_of(alice, description=f"a{letter * 9_998}b")

    assert entry(api.get(LONG.event_calendar(event)))["description"] == event.description


def test_event_without_description_has_none(read):
    assert "description" not in read()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        (datetime(2999, 1, 1, microsecond=1, tzinfo=UTC), datetime(2999, 1, 1, microsecond=2, tzinfo=UTC)),
    ],
)
def test_event_of_less_than_a_second_has_no_end(api, event, start, end):
    Event.objects.filter(pk=event.pk).update(start_time=start, end_time=end)

    described = entry(api.get(LONG.event_calendar(event)))

    assert described["dtstart"] == start.replace(microsecond=0)
    assert "dtend" not in described


def test_event_of_the_first_year(api, event):
    first = datetime(1, 1, 1, tzinfo=UTC)
    Event.objects.filter(pk=event.pk).update(start_time=first)

    assert b"DTSTART:00010101T000000Z\r\n" in api.get(LONG.event_calendar(event)).content


def test_cancelled_event_is_cancelled(event):
    event.cancelled_at = timezone.now()
    request = RequestFactory().get("/")

    response = calendar_response(request, [calendar_entry(event, "", request)])

    assert entry(response)["status"] == "CANCELLED"


def test_calendar_without_entries_is_valid():
    assert entries(calendar_response(RequestFactory().get("/"), [])) == []


def test_uid_stays_the_same(as_user, alice, read, event):
    before = read()["uid"]

    as_user(alice).put(LONG.event(event), NEW | {"capacity": 3})

    assert read()["uid"] == before


def test_each_event_has_a_uid_of_its_own(alice, event_of):
    events = [event_of(alice) for _ in range(3)]
    again = copy.copy(events[0])
    again.pk = None
    again.save()
    times = {"start_time": NEW["start_time"], "end_time": NEW["end_time"]}
    [bulk] = Event.objects.bulk_create([Event(title="x", capacity=1, organizer=alice, **times)])

    assert len({Event.objects.get(pk=each.pk).uid for each in [*events, again, bulk]}) == 5
    assert again.uid == Event.objects.get(pk=again.pk).uid


def test_events_of_the_previous_release_have_uids(alice):
    """The previous release inserts rows without the new columns. So does the migration for rows that exist."""
    columns = "title, description, start_time, end_time, capacity, seats_remaining, organizer_id"
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(
                f"INSERT INTO event_event ({columns}) VALUES ('x', '', %s, %s, 1, 1, %s)",
                [NEW["start_time"], NEW["end_time"], alice.pk],
            )

    first, second = Event.objects.all()
    assert first.uid != second.uid
    assert (first.uid.version or 4, first.revision) == (4, 0)


@pytest.mark.parametrize("field", sorted(SHOWN_IN_CALENDARS))
@pytest.mark.parametrize("way", ["PATCH", "save", "save all", "update", "bulk_update"])
def test_change_that_attendees_see_is_a_new_revision(as_user, alice, event, field, way):
    value = NEW[field] if field != "start_time" else event.start_time - timedelta(hours=1)
    value = value if field != "show_time" else event.start_time - timedelta(hours=2)
    change(as_user(alice), event, way, {field: value})
    assert revision(event) == 1

    change(as_user(alice), event, way, {field: value})
    assert revision(event) == 1

    if field == "show_time":
        change(as_user(alice), event, way, {field: None})
        assert revision(event) == 2


def change(client, event, way, changes):
    instance = Event.objects.get(pk=event.pk)
    if way == "PATCH":
        tag = client.patch(LONG.event(event), changes)["ETag"]
        assert tag == client.get(LONG.event(event))["ETag"]
    elif way == "update":
        Event.objects.filter(pk=event.pk).update(**changes)
    else:
        for name, value in changes.items():
            setattr(instance, name, value)
        if way == "bulk_update":
            Event.objects.bulk_update([instance], [*changes])
        else:
            instance.save(update_fields=[*changes] if way == "save" else None)
            assert instance.revision == revision(event)


def test_expressions_are_new_revisions(event):
    Event.objects.update(end_time=F("end_time") + timedelta(hours=1), capacity=F("capacity") + 1)
    Event.objects.update(end_time=F("end_time"))

    assert revision(event) == 1
    assert_balanced()


def test_seats_and_capacity_are_no_new_revision(as_user, alice, bob, event, read):
    event.refresh_from_db()
    [reservation] = book(event, bob)
    as_user(alice).patch(LONG.event(event), {"capacity": 20})
    Event.objects.update(capacity=30)
    event.capacity = 40
    event.save()
    reservation.cancel()

    assert read()["sequence"] == "0"


def test_failed_save_keeps_the_revision(event):
    event.title = "Opera"
    event.start_time = event.end_time

    with pytest.raises(Exception, match="event_starts_before_it_ends"):
        event.save()

    assert event.revision == 0


def test_sequence_grows(as_user, alice, event, read):
    for number in range(1, 4):
        as_user(alice).patch(LONG.event(event), {"title": f"Concert {number}"})
        assert read()["sequence"] == str(number)


def test_missing_event_is_404(api):
    for event in (0, 99, 2**63, 10**30):
        assert api.get(LONG.event_calendar(event)).json()["code"] == "not_found"


def test_private_events_need_a_token(api, as_user, bob, event, settings):
    settings.EVENTS_PUBLIC = False

    assert api.get(LONG.event_calendar(event)).status_code == 401
    assert as_user(bob).get(LONG.event_calendar(event)).status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_other_methods_are_405(as_user, alice, event, method):
    response = getattr(as_user(alice), method)(LONG.event_calendar(event))

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"


def test_unchanged_file_is_304(api, as_user, alice, bob, event):
    tag = api.get(LONG.event_calendar(event))["ETag"]
    Reservation.objects.book(user=bob, event_id=event.pk)
    unchanged = api.get(LONG.event_calendar(event), headers={"if-none-match": tag})
    as_user(alice).patch(LONG.event(event), {"title": "Opera"})
    changed = api.get(LONG.event_calendar(event), headers={"if-none-match": tag})

    assert tag.startswith('W/"')
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged["ETag"] == tag
    assert changed.status_code == 200


@pytest.mark.parametrize("accept", ["text/calendar", "text/html", "image/png"])
def test_accept_header_does_not_matter(api, event, accept):
    assert entry(api.get(LONG.event_calendar(event), headers={"accept": accept}))


def test_head_has_the_headers_of_get(api, event):
    response = api.head(LONG.event_calendar(event))

    assert response.status_code == 200
    assert response["Content-Type"] == "text/calendar; charset=utf-8"
    assert response.content == b""
