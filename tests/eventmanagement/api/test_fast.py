"""The fast way gives the same responses as REST framework, and is only taken for plain requests."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import override_settings
from rest_framework import serializers
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient
from rest_framework.views import APIView

from event.fast import FastEventMixin
from event.models import Event
from event.serializers import EventSerializer
from eventmanagement.api import fast
from eventmanagement.api.fast import FastMixin, represent
from reservation import booking_sql
from reservation.fast import FastBookingMixin
from reservation.models import Reservation
from reservation.serializers import ReservationSerializer
from tests.ledger import assert_balanced

LINE_SEPARATOR = "\u2028"


@pytest.fixture
def fast_responses(monkeypatch):
    """A list of the responses of the fast way."""
    responses = []

    def record(mixin):
        respond = mixin.respond_fast

        def respond_and_record(self, request):
            responses.append(respond(self, request))
            return responses[-1]

        monkeypatch.setattr(mixin, "respond_fast", respond_and_record)

    record(FastEventMixin)
    record(FastBookingMixin)
    return responses


@pytest.fixture
def without_fast_way(monkeypatch):
    """Return a function that lets REST framework handle all requests from now on."""
    return lambda: monkeypatch.setattr(FastMixin, "dispatch", APIView.dispatch)


@pytest.fixture
def sign_in(bob):
    token = Token.objects.create(user=bob).key
    return {"HTTP_AUTHORIZATION": f"Token {token}"}


def essence(response):
    """Return all parts of a response, except the request id."""
    headers = [(name, value) for name, value in response.items() if name != "X-Request-ID"]
    return response.status_code, headers, response.content


@pytest.fixture
def _empty_cache():
    cache.clear()
    yield
    cache.clear()


def first_page(api, **headers):
    return api.get("/api/event/events/", **headers)


READS = {
    "list": lambda api, event: api.get("/api/event/events/"),
    "short path": lambda api, event: api.get("/api/events/"),
    "host": lambda api, event: api.get("/api/events/", headers={"host": "127.0.0.1:8000"}),
    "one event": lambda api, event: api.get(f"/api/events/{event.pk}/"),
    "called off": lambda api, event: event.cancel("Über") or api.get(f"/api/events/{event.pk}/"),
    "json": lambda api, event: api.get(f"/api/events/{event.pk}/", headers={"accept": "application/json"}),
    "unchanged": lambda api, event: api.get(
        "/api/events/", headers={"if-none-match": api.get("/api/events/").headers["etag"]}
    ),
    "unchanged event": lambda api, event: api.get(
        f"/api/events/{event.pk}/", headers={"if-none-match": api.get(f"/api/events/{event.pk}/").headers["etag"]}
    ),
}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only on PostgreSQL")
@pytest.mark.parametrize("is_signed_in", [True, False])
@pytest.mark.parametrize("count", [0, 10, 11])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_is_the_same(
    alice, event_of, event, sign_in, fast_responses, without_fast_way, read, count, is_signed_in
):
    times = {"start_time": datetime(2999, 1, 1, 1, 2, 3, 4, UTC), "show_time": event.start_time}
    for number in range(count):
        event_of(alice, title=f"Ümlaut <{number}> \U0001f389", description=f"a{LINE_SEPARATOR}b", **times)
    api = APIClient(**(sign_in if is_signed_in else {}))

    quick = read(api, event)
    assert fast_responses
    without_fast_way()

    assert essence(quick) == essence(read(api, event))


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only on PostgreSQL")
def test_list_of_no_events_is_the_same(fast_responses, without_fast_way):
    quick = first_page(APIClient())
    assert fast_responses
    without_fast_way()

    assert essence(quick) == essence(first_page(APIClient()))


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only on PostgreSQL")
@pytest.mark.usefixtures("_empty_cache")
def test_list_of_more_events_than_are_counted_each_time(alice, event_of, fast_responses, monkeypatch):
    monkeypatch.setattr("eventmanagement.api.pagination.MAX_UNCACHED_COUNT", 1)
    api = APIClient()
    event_of(alice)
    event_of(alice)
    assert first_page(api).json()["count"] == 2

    event_of(alice)

    assert first_page(api).json()["count"] == 2
    assert len(fast_responses) == 2
    # REST framework's way uses the same count.
    assert api.get("/api/events/?page=1").json()["count"] == 2
    assert len(fast_responses) == 2


UNUSUAL_READS = {
    "query": lambda api, event: api.get("/api/events/?page=1"),
    "html": lambda api, event: api.get("/api/events/", headers={"accept": "text/html"}),
    "head": lambda api, event: api.head("/api/events/"),
    "unknown": lambda api, event: api.get(f"/api/events/{event.pk + 1}/"),
    "huge id": lambda api, event: api.get(f"/api/events/{10**30}/"),
    "bad token": lambda api, event: api.get("/api/events/", headers={"authorization": "Token abc"}),
    "post only": lambda api, event: api.get(f"/api/events/{event.pk}/cancel/"),
    "other scheme": lambda api, event: api.put(f"/api/events/{event.pk}/", {}, headers={"authorization": "Basic abc"}),
}


@pytest.mark.parametrize("read", UNUSUAL_READS.values(), ids=UNUSUAL_READS)
def test_unusual_reads_are_left_to_rest_framework(event, fast_responses, without_fast_way, read):
    response = read(APIClient(), event)

    assert not fast_responses
    without_fast_way()
    assert essence(response) == essence(read(APIClient(), event))


def test_events_that_are_not_public_need_a_token(event, fast_responses, sign_in):
    with override_settings(EVENTS_PUBLIC=False):
        assert first_page(APIClient()).status_code == 401
        assert not fast_responses
        assert first_page(APIClient(**sign_in)).status_code == 200


def post(api, body, content_type="application/json", **headers):
    return api.generic("POST", "/api/reservations/", body, content_type, headers=headers)


PLAIN_BODIES = ['{"event_id":%d}', ' {\t"event_id" :\r\n%d } ']


# Without a surrounding transaction, one statement books and finds the user.
IN_ONE_STATEMENT = pytest.mark.django_db(transaction=True)


@IN_ONE_STATEMENT
@pytest.mark.parametrize("body", PLAIN_BODIES)
def test_booking_is_the_same(bob, event, sign_in, fast_responses, without_fast_way, body):
    api = APIClient(**sign_in)

    quick = post(api, body % event.pk)
    assert len(fast_responses) == 1
    Reservation.objects.all().delete()
    without_fast_way()
    plain = post(api, body % event.pk)

    # The second reservation has another id and time.
    own = re.compile(rb'^{"id":\d+|"created_at":"[^"]{27}"')
    assert len(own.findall(plain.content)) == 2
    assert [own.sub(b"", response.content) for response in (quick, plain)] == [own.sub(b"", plain.content)] * 2
    quick.content = plain.content
    quick["Content-Length"] = plain["Content-Length"]
    assert essence(quick) == essence(plain)


def sell_out(event, alice):
    event.resize(1)
    Reservation.objects.create(user=alice, event=event)


def start(event, alice):
    Event.objects.update(start_time=datetime(2020, 1, 1, tzinfo=UTC))


def hold(event, alice):
    Reservation.objects.book(user=Token.objects.get().user, event_id=event.pk)


def call_off(event, alice):
    event.cancel("The hall is closed.")


@IN_ONE_STATEMENT
@pytest.mark.parametrize("prevent", [sell_out, start, hold, call_off])
def test_refusal_is_the_same(bob, alice, event, sign_in, fast_responses, without_fast_way, caplog, prevent):
    prevent(event, alice)
    api = APIClient(**sign_in)

    quick = post(api, PLAIN_BODIES[0] % event.pk)
    assert len(fast_responses) == 1
    assert quick.status_code == 400
    assert caplog.records[-1].user == bob.pk
    without_fast_way()

    assert essence(quick) == essence(post(api, PLAIN_BODIES[0] % event.pk))


UNUSUAL_BODIES = [
    "",
    "{}",
    '{"event_id":007}',
    '{"event_id":0}',
    '{"event_id":-1}',
    '{"event_id":98765e0}',
    '{"event_id":98765.0}',
    '{"event_id":"98765"}',
    '{"event_id":[98765]}',
    '{"event_id":true}',
    '{"event_id":null}',
    '{"event_id":98765}x',
    '{"event_id":98765,"x":1}',
    '{"event_id":98765,"event_id":2}',
    '\ufeff{"event_id":98765}',
    '\v{"event_id":98765}',
    '{"event_id":1234567890123456789}',
    '{"event_id":123456789012345678}',
    '[{"event_id":98765}]',
]


@pytest.mark.parametrize("body", UNUSUAL_BODIES)
def test_unusual_bodies_are_left_to_rest_framework(event, sign_in, fast_responses, without_fast_way, body):
    api = APIClient(**sign_in)

    response = post(api, body)

    assert not fast_responses
    without_fast_way()
    assert essence(response) == essence(post(api, body))


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("application/json", {"authorization": ""}),
        ("application/json", {"authorization": "Token abc"}),
        ("application/json", {"authorization": f"Token {'0' * 40}"}),
        ("application/json", {"accept": "text/html"}),
        ("application/json; charset=utf-8", {}),
        ("application/json; charset=utf-16", {}),
        ("text/plain", {}),
        ("", {}),
    ],
)
def test_unusual_headers_are_left_to_rest_framework(
    event, sign_in, fast_responses, without_fast_way, content_type, headers
):
    headers = {"authorization": sign_in["HTTP_AUTHORIZATION"]} | headers

    response = post(APIClient(), PLAIN_BODIES[0] % event.pk, content_type, **headers)

    assert not fast_responses
    without_fast_way()
    assert response.status_code == 201 or essence(response) == essence(
        post(APIClient(), PLAIN_BODIES[0] % event.pk, content_type, **headers)
    )


@IN_ONE_STATEMENT
@pytest.mark.parametrize("change", [{"is_active": False}, None])
@pytest.mark.parametrize("held", [0, 1])
def test_user_who_may_not_book(bob, event, sign_in, fast_responses, change, held):
    if held:
        Reservation.objects.book(user=bob, event_id=event.pk)
    if change:
        User.objects.filter(pk=bob.pk).update(**change)
    else:
        Token.objects.all().delete()

    response = post(APIClient(**sign_in), PLAIN_BODIES[0] % event.pk)

    assert response.status_code == 401
    assert not fast_responses
    assert Reservation.objects.count() == held
    assert_balanced()


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_incomplete_body_is_the_same(event, sign_in, without_fast_way, is_signed_in):
    class Gone(BytesIO):
        def read(self, size=-1):
            raise OSError("gone")

    api = APIClient(**(sign_in if is_signed_in else {}))
    body = {"data": "{}", "content_type": "application/json", "wsgi.input": Gone()}

    quick = api.generic("POST", "/api/reservations/", **body)
    without_fast_way()

    assert quick.status_code == (400 if is_signed_in else 401)
    assert essence(quick) == essence(api.generic("POST", "/api/reservations/", **body))


def test_path_of_a_reservation_does_not_book(event, sign_in, fast_responses):
    response = APIClient(**sign_in).post("/api/reservations/1/", {"event_id": event.pk})

    assert response.status_code == 405
    assert not fast_responses
    assert not Reservation.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_user_who_is_deleted_meanwhile_is_left_to_rest_framework(bob, event, sign_in, fast_responses, monkeypatch):
    monkeypatch.setattr(booking_sql, "is_supported", lambda: False)
    monkeypatch.setattr(fast.AUTHENTICATOR, "accept", lambda found: bob)
    bob_id = bob.pk
    bob.delete()
    bob.pk = bob_id

    response = post(APIClient(**sign_in), PLAIN_BODIES[0] % event.pk)

    assert response.status_code == 401
    assert not fast_responses


def test_rows_are_represented_as_the_serializer_does(bob, event):
    event.show_time = event.start_time.astimezone(timezone(timedelta(hours=5)))
    event.save()
    reservation = Reservation.objects.book(user=bob, event_id=event.pk)
    reservation.event.show_time = event.show_time

    assert represent(event, EventSerializer) == EventSerializer(event).data
    assert represent(reservation, ReservationSerializer) == json.loads(
        fast.RENDERER.render(ReservationSerializer(reservation).data)
    )


def test_unknown_field_has_no_fast_way():
    class Unknown(serializers.Serializer):
        duration = serializers.DurationField()

    with pytest.raises(TypeError, match="DurationField"):
        represent(None, Unknown)
