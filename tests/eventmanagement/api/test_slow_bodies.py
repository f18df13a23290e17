"""While the server waits for a request body, no transaction is open and no row is locked."""

import json
from io import BytesIO

import pytest
from django.db import connection

from event.models import Event, EventManager
from tests.conftest import LONG
from tests.ledger import assert_balanced

pytestmark = pytest.mark.django_db(transaction=True)

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
EVENT = {"title": "Other", "capacity": 20, "start_time": "2999-01-01T00:00:00Z", "end_time": "2999-01-02T00:00:00Z"}
ACCOUNT = {"username": "dave", "password": "correct horse battery"}


def address_of_event(event):
    return LONG.event(event)


BODIES = [
    ("POST", lambda event: LONG.signup, ACCOUNT, 201),
    ("POST", lambda event: LONG.login, ACCOUNT, 400),
    ("PATCH", lambda event: LONG.me, {"email": "alice@example.org"}, 200),
    ("POST", lambda event: LONG.password, {"old_password": "wrong", "new_password": ACCOUNT["password"]}, 400),
    ("POST", lambda event: LONG.delete_account, {"password": "wrong"}, 400),
    ("POST", lambda event: LONG.events, EVENT, 201),
    ("PUT", address_of_event, EVENT, 200),
    ("PATCH", address_of_event, {"capacity": 20}, 200),
    ("POST", lambda event: LONG.reservations, {"event_id": None}, 201),
]


class WatchedBody(BytesIO):
    """A request body that calls a callback when it is read."""

    def __init__(self, content, callback):
        super().__init__(content)
        self.callback = callback

    def read(self, *size):
        self.callback()
        return super().read(*size)

    def readline(self, *size):
        self.callback()
        return super().readline(*size)


@pytest.fixture
def seen(event):
    """Record at each call whether a transaction is open and whether the event is locked."""
    other = connection.copy()
    seen = []

    def look():
        locked = False
        if connection.vendor == "postgresql":
            with other.cursor() as cursor:
                cursor.execute("SELECT id FROM event_event FOR UPDATE SKIP LOCKED")
                locked = cursor.fetchone() is None
        seen.append((connection.in_atomic_block, locked))

    yield seen, look
    other.close()


@pytest.fixture
def send(as_user, alice, event, seen):
    """Send a request of Alice's whose body records the state when it is read."""

    def send(method, address, content, content_type=JSON):
        return as_user(alice).generic(
            method,
            address,
            content,
            content_type=content_type,
            **{"wsgi.input": WatchedBody(content, seen[1])},
        )

    return send


def encoded(fields, content_type):
    if content_type == JSON:
        return json.dumps(fields).encode()
    if content_type == FORM:
        return "&".join(f"{name}={value}" for name, value in fields.items()).encode()
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    return "".join([*parts, "--x--\r\n"]).encode()


@pytest.mark.parametrize(("method", "address", "fields", "status"), BODIES)
@pytest.mark.parametrize("content_type", [JSON, FORM, MULTIPART])
def test_body_is_read_before_a_transaction_begins(event, send, seen, method, address, fields, status, content_type):
    fields = {name: event.pk if value is None else value for name, value in fields.items()}

    response = send(method, address(event), encoded(fields, content_type), content_type)

    assert response.status_code == status
    assert set(seen[0]) == {(False, False)}
    assert_balanced()


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_body_that_cannot_be_parsed_locks_nothing(event, send, monkeypatch, method):
    monkeypatch.setattr(Event, "lock", lambda event: 1 / 0)

    response = send(method, LONG.event(event), b"{")

    assert response.status_code == 400


@pytest.mark.parametrize("content", [b"{", b'{"capacity": 20}'])
@pytest.mark.parametrize(
    ("somebody", "event_id", "status"), [("nobody", None, 401), ("bob", None, 403), ("alice", 0, 404), ("bob", 0, 404)]
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_body_is_not_read_of_a_request_that_is_refused_anyway(
    api, as_user, request, event, seen, method, content, somebody, event_id, status
):
    client = api if somebody == "nobody" else as_user(request.getfixturevalue(somebody))
    body = WatchedBody(content, seen[1])

    response = client.generic(
        method,
        LONG.event(event if event_id is None else event_id),
        content,
        content_type=JSON,
        **{"wsgi.input": body},
    )

    assert response.status_code == status
    assert seen[0] == []


@pytest.mark.parametrize(("method", "content"), [("PATCH", b'{"capacity": 20}'), ("DELETE", b"")])
def test_event_with_new_organizer_is_not_changed(bob, event, send, monkeypatch, method, content):
    read = EventManager.read

    def give_away_after(manager, event_id):
        found = read(manager, event_id)
        Event.objects.filter(pk=event_id).update(organizer=bob)
        return found

    monkeypatch.setattr(EventManager, "read", give_away_after)

    response = send(method, LONG.event(event), content)

    assert response.status_code == 403
    assert Event.objects.get().capacity == 10
