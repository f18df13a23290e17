"""Conditional requests.

A read returns 304 if the client's ETag is current, and only then. A write returns 412 if its condition does not hold.
"""

from functools import partial
from threading import Barrier

import pytest
from django.db import connection, transaction

from event.models import Event
from event.serializers import EventSerializer
from event.views import EventViewSet
from reservation.models import Reservation
from tests.conftest import LONG, SHORT
from tests.event.test_create import CONCERT
from tests.ledger import assert_balanced
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session


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


def compressed(tag, suffix):
    return f'{tag[:-1]}{suffix}"'


# What the client may send instead of the ETag. Servers that compress responses change ETags.
SPELLINGS = {
    "strong": lambda tag: tag,
    "weak": lambda tag: f"W/{tag}",
    "list": lambda tag: f'"other", {tag}',
    "any": lambda tag: "*",
    "Apache": lambda tag: compressed(tag, "-gzip"),
    "Brotli": lambda tag: compressed(tag, "-br"),
    "Jetty": lambda tag: compressed(tag, "--gzip"),
    "semicolon": lambda tag: compressed(tag, ";gzip"),
    "weak and suffix": lambda tag: f"W/{compressed(tag, '-zstd')}",
}
# These are other tags, or no tags at all.
OTHERS = {
    "other": lambda tag: '"other"',
    "empty": lambda tag: "",
    "no quotes": lambda tag: tag.strip('"'),
    "unfinished": lambda tag: tag[:-1],
    "prefix": lambda tag: f'"0{tag[1:]}',
    "unknown suffix": lambda tag: compressed(tag, "-2"),
    "asterisk in a list": lambda tag: '"other", *',
    "separators": lambda tag: "," * 8000,
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_spellings_of_the_etag_are_304(api, address, tag, spell):
    assert status(api, address, spell(tag)) == 304


@pytest.mark.parametrize("spell", OTHERS.values(), ids=OTHERS)
def test_other_etags_are_200(api, address, tag, spell):
    assert status(api, address, spell(tag)) == 200


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


def test_etag_of_an_event_depends_only_on_the_event(api, as_user, alice, event):
    responses = [
        api.get(LONG.event(event)),
        api.get(SHORT.event(event)),
        api.get(f"{LONG.event(event)}?page_size=3", headers={"accept": "text/html"}),
        api.head(LONG.event(event), headers={"host": "127.0.0.1"}),
        as_user(alice).get(LONG.event(event)),
    ]

    assert len({response["ETag"] for response in responses}) == 1


@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
def test_every_response_with_an_event_has_its_etag(as_user, alice, routes):
    client = as_user(alice)
    # Times in another zone, and text that is normalized: the tag is of what is stored.
    sent = CONCERT | {"start_time": "2999-06-01T21:00:00.25+02:00", "title": "Cafe\u0301 "}

    created = client.post(routes.events, sent)
    address = routes.event(created.json()["id"])
    read = client.get(address)
    replaced = client.put(address, sent | {"capacity": "7"})
    read_again = client.get(address)
    changed = client.patch(address, {"description": "Strings\r\n", "show_time": None})
    read_at_last = client.head(address)

    assert created["ETag"] == read["ETag"]
    assert replaced["ETag"] == read_again["ETag"]
    assert changed["ETag"] == read_at_last["ETag"]
    assert len({created["ETag"], replaced["ETag"], changed["ETag"]}) == 3


def test_errors_have_no_etag(as_user, alice, routes, event):
    client = as_user(alice)

    responses = [
        client.post(routes.events, {}),
        client.patch(routes.event(event), {"capacity": 0}),
        client.patch(routes.event(event), {"capacity": 5}, headers={"if-match": '"other"'}),
    ]

    assert [response.status_code for response in responses] == [400, 400, 412]
    assert not any("ETag" in response for response in responses)


class AddedField(EventSerializer):
    class Meta(EventSerializer.Meta):
        fields = [*EventSerializer.Meta.fields, "pk"]


class OtherFormat(EventSerializer):
    def to_representation(self, event):
        return super().to_representation(event) | {"capacity": f"{event.capacity} seats"}


@pytest.mark.parametrize("serializer_class", [AddedField, OtherFormat])
def test_serializer_changes_etag(api, address, tag, monkeypatch, serializer_class):
    monkeypatch.setattr(EventViewSet, "serializer_class", serializer_class)

    with pytest.MonkeyPatch.context() as patch:
        # The document describes the real serializer.
        patch.setattr("tests.openapi.check", lambda *response: None)
        assert status(api, address, tag) == 200


def test_304_does_not_serialize(api, address, tag, monkeypatch):
    def fail(serializer, event):
        raise AssertionError("serialized")

    monkeypatch.setattr(EventSerializer, "to_representation", fail)

    assert status(api, address, tag) == 304


WRITES = [("put", CONCERT, 200), ("patch", {"title": "Opera"}, 200), ("delete", None, 204)]
writes = pytest.mark.parametrize(("method", "body", "success"), WRITES, ids=["put", "patch", "delete"])
both_routes = pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])


def write(client, method, address, body, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return getattr(client, method)(address, body, headers=headers)


@both_routes
@writes
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_write_of_the_current_version_succeeds(as_user, alice, routes, event, method, body, success, spell):
    client, address = as_user(alice), routes.event(event)

    response = write(client, method, address, body, if_match=spell(client.get(address)["ETag"]))

    assert response.status_code == success


@both_routes
@writes
@pytest.mark.parametrize("spell", OTHERS.values(), ids=OTHERS)
def test_write_of_another_version_is_412(as_user, alice, routes, event, method, body, success, spell):
    client, address = as_user(alice), routes.event(event)
    before = client.get(address)

    response = write(client, method, address, body, if_match=spell(before["ETag"]))

    assert response.status_code == 412
    assert response.json() == {
        "detail": "The current version does not meet the condition in the If-Match or If-None-Match header.",
        "code": "precondition_failed",
    }
    assert client.get(address).json() == before.json()


@writes
def test_booking_makes_the_version_stale(as_user, alice, bob, routes, event, method, body, success):
    client, address = as_user(alice), routes.event(event)
    tag = client.get(address)["ETag"]
    Reservation.objects.book(user=bob, event_id=event.pk)

    assert write(client, method, address, body, if_match=tag).status_code == 412
    assert_balanced()


def test_etag_of_one_write_is_the_condition_of_the_next(as_user, alice, routes, event):
    client, address = as_user(alice), routes.event(event)
    first = client.patch(address, {"title": "First"})
    second = write(client, "patch", address, {"title": "Second"}, if_match=first["ETag"])
    stale = write(client, "patch", address, {"title": "Third"}, if_match=first["ETag"])

    assert [first.status_code, second.status_code, stale.status_code] == [200, 200, 412]
    assert Event.objects.get().title == "Second"


@writes
@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_write_unless_current_is_412(as_user, alice, routes, event, method, body, success, spell):
    client, address = as_user(alice), routes.event(event)

    response = write(client, method, address, body, if_none_match=spell(client.get(address)["ETag"]))

    assert response.status_code == 412


@writes
def test_write_unless_another_version_succeeds(as_user, alice, routes, event, method, body, success):
    response = write(as_user(alice), method, routes.event(event), body, if_none_match='"other"')

    assert response.status_code == success


@both_routes
@writes
@pytest.mark.parametrize("condition", ['"other"', "*"])
def test_other_errors_precede_412(api, as_user, alice, bob, routes, event, method, body, success, condition):
    statuses = [
        write(client, method, address, body, if_match=condition).status_code
        for client, address in [
            (api, routes.event(event)),
            (as_user(bob), routes.event(event)),
            (as_user(alice), routes.event(99)),
        ]
    ]

    assert statuses == [401, 403, 404]


def test_412_precedes_errors_of_fields(as_user, alice, routes, event):
    """RFC 9110 evaluates conditions before the server processes the content."""
    response = write(as_user(alice), "patch", routes.event(event), {"capacity": 0}, if_match='"other"')

    assert response.status_code == 412


@pytest.mark.django_db(transaction=True)
def test_one_of_several_writes_of_the_same_version_succeeds(as_user, alice, event):
    client = as_user(alice)
    tag = client.get(LONG.event(event))["ETag"]
    titles = [f"Title {number}" for number in range(6)]

    responses = race(
        partial(write, client, "patch", routes.event(event), {"title": title}, if_match=tag)
        for title, routes in zip(titles, [LONG, SHORT] * 3, strict=True)
    )

    assert sorted(response.status_code for response in responses) == [200] + [412] * 5
    [written] = [response.json()["title"] for response in responses if response.status_code == 200]
    assert Event.objects.get().title == written


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the whole database")
@pytest.mark.django_db(transaction=True)
def test_condition_is_checked_under_the_lock(as_user, alice, event):
    """The write waits for another one, and then sees what that has written."""
    client, address = as_user(alice), LONG.event(event)
    tag = client.get(address)["ETag"]

    def change_first():
        with transaction.atomic():
            Event.objects.filter(pk=event.pk).update(title="Changed meanwhile")
            started.wait()
            wait_for_blocked_session()

    def write_second():
        started.wait()
        return write(client, "patch", address, {"title": "Lost update"}, if_match=tag).status_code

    started = Barrier(2, timeout=RACE_TIMEOUT)

    assert race([change_first, write_second]) == [None, 412]
    assert Event.objects.get().title == "Changed meanwhile"
