"""A user's own calendar, under an address with a secret key."""

import json
import re
from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from rest_framework.authtoken.models import Token

from authentication import tokens
from authentication.accounts import change_password
from event.models import Event
from reservation import calendar
from reservation.calendar import MAX_DESCRIPTION_LENGTH, renew_key
from reservation.models import CalendarKey, Reservation
from tests.admin import staff, superuser
from tests.calendars import entries
from tests.conftest import LONG, SHORT
from tests.ledger import book, wait
from tests.races import race

PASSWORD = "correct horse battery"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _cheap_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def address(as_user):
    """Return a function that creates the address of a user's calendar, and returns its path."""

    def create(user, routes=LONG):
        response = as_user(user).post(routes.calendar)
        assert response.status_code == 201
        return urlsplit(response.json()["url"]).path

    return create


def titles(response):
    return [entry["summary"] for entry in entries(response)]


def move(event, *, end_in):
    Event.objects.filter(pk=event.pk).update(start_time=timezone.now() + end_in - DAY, end_time=timezone.now() + end_in)


@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
def test_new_address_is_absolute_and_secret(api, as_user, bob, routes):
    response = as_user(bob).post(routes.calendar)

    assert response.status_code == 201
    assert response.json().keys() == {"url"}
    [key] = re.findall(r"^http://testserver/api/reservation/calendar/([A-Za-z0-9_-]{43})\.ics$", response.json()["url"])
    assert "no-store" in response["Cache-Control"]
    assert titles(api.get(routes.feed(key))) == []


def test_only_a_digest_is_stored(address, bob):
    key = address(bob).split("/")[-1].removesuffix(".ics")

    stored = CalendarKey.objects.values().get()
    assert stored["digest"] == sha256(key.encode()).hexdigest()
    assert key not in repr(stored)
    assert stored["digest"] not in str(CalendarKey.objects.get())


def test_calendar_has_the_bookings_of_its_user(api, address, alice, bob, carol, event, event_of):
    later = event_of(alice, title="Opera", start_time=timezone.now() + 9 * DAY)
    other = event_of(alice, title="Jazz")
    book(later, bob)
    book(event, bob, carol)
    book(other, carol)
    path = address(bob)

    response = api.get(path)

    assert titles(response) == ["Concert", "Opera"]
    first = entries(response)[0]
    assert first["uid"] == str(event.uid)
    assert first["url"] == f"http://testserver{LONG.event(event)}"
    Reservation.objects.get(event=event, user=bob).cancel()
    assert titles(api.get(path)) == ["Opera"]


def test_calendar_has_the_seats_from_waiting_lists(api, address, alice, bob, carol, event_of):
    event = event_of(alice, capacity=1)
    [seat] = book(event, carol)
    wait(event, bob)
    path = address(bob)
    before = titles(api.get(path))

    seat.cancel()

    assert (before, titles(api.get(path))) == ([], ["Concert"])


def test_headers(api, address, bob):
    response = api.get(address(bob))

    assert "private" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "no-referrer"
    assert b"X-WR-CALNAME:Bookings\r\n" in response.content
    assert b"REFRESH-INTERVAL;VALUE=DURATION:PT1H\r\n" in response.content


def test_unchanged_calendar_is_304(api, address, bob, event):
    path = address(bob)
    tag = api.get(path)["ETag"]
    unchanged = api.get(path, headers={"if-none-match": tag})
    book(event, bob)

    assert unchanged.status_code == 304
    assert "private" in unchanged["Cache-Control"]
    assert api.get(path, headers={"if-none-match": tag}).status_code == 200


def test_past_bookings_are_left_out_after_a_year(api, address, alice, bob, event_of):
    for days in (0, -364, -366, -9999):
        event = event_of(alice, title=f"{days} days")
        book(event, bob)
        move(event, end_in=days * DAY)

    assert titles(api.get(address(bob))) == ["0 days", "-364 days"]


def test_number_of_entries_is_bounded(api, address, alice, bob, event_of, monkeypatch):
    monkeypatch.setattr(calendar, "MAX_ENTRIES", 3)
    for days in (-200, 30, -100, 20):
        event = event_of(alice, title=f"{days} days")
        book(event, bob)
        move(event, end_in=days * DAY)
    path = address(bob)

    assert titles(api.get(path)) == ["20 days", "30 days", "-100 days"]
    monkeypatch.setattr(calendar, "MAX_ENTRIES", 1)
    assert titles(api.get(path)) == ["20 days"]


@pytest.mark.parametrize("letter", ["x", "🎷"])
def test_long_description_is_cut_off(api, address, alice, bob, event_of, letter):
    lengths = (MAX_DESCRIPTION_LENGTH, MAX_DESCRIPTION_LENGTH + 1, 10_000)
    for length in lengths:
        book(event_of(alice, description=letter * length), bob)

    shown = [entry["description"] for entry in entries(api.get(address(bob)))]

    assert sorted(shown) == sorted([letter * MAX_DESCRIPTION_LENGTH, *2 * [letter * MAX_DESCRIPTION_LENGTH + "…"]])


def test_queries_do_not_grow_with_the_bookings(
    api, address, alice, bob, event, event_of, django_assert_max_num_queries
):
    path = address(bob)
    book(event, bob)
    with django_assert_max_num_queries(10) as few:
        assert len(titles(api.get(path))) == 1
    for _ in range(5):
        book(event_of(alice), bob)

    with django_assert_max_num_queries(len(few)):
        assert len(titles(api.get(path))) == 6


def test_new_address_replaces_the_old_one(api, address, bob):
    old, new = address(bob), address(bob)

    assert api.get(old).status_code == 404
    assert api.get(new).status_code == 200
    assert CalendarKey.objects.count() == 1


def test_deleted_address_is_404(api, as_user, address, bob, carol):
    path, other = address(bob), address(carol)

    statuses = [as_user(bob).delete(LONG.calendar).status_code for _ in range(2)]

    assert statuses == [204, 204]
    assert api.get(path).status_code == 404
    assert api.get(other).status_code == 200


@pytest.mark.parametrize(
    "key",
    [
        "x",
        "A" * 42,
        "A" * 43,
        "A" * 44,
        "%00" * 43,
        "%ff" * 43,
        "%ed%a0%80" * 43,
        "é" * 43,
        "-" * 900,
        "../me",
        "%0a" + "A" * 43,
    ],
)
@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
def test_any_other_key_is_404(api, address, bob, routes, key):
    address(bob)

    response = api.get(routes.feed(key))

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_digest_is_not_a_key(api, address, bob):
    address(bob)

    assert api.get(LONG.feed(CalendarKey.objects.get().digest)).status_code == 404


def test_key_of_the_wrong_format_needs_no_query(api, django_assert_num_queries):
    with django_assert_num_queries(0):
        api.get(LONG.feed("A" * 44))


@pytest.mark.parametrize("header", ["Token nonsense", "Basic eDp5"])
def test_authorization_header_does_not_matter(api, address, bob, header):
    assert api.get(address(bob), headers={"authorization": header}).status_code == 200


def test_nobody_signed_in_is_refused(api):
    assert [api.post(LONG.calendar).status_code, api.delete(LONG.calendar).status_code] == [401, 401]


@pytest.mark.parametrize("method", ["get", "put", "patch"])
def test_address_cannot_be_read(as_user, bob, method):
    response = getattr(as_user(bob), method)(LONG.calendar)

    assert response.status_code == 405
    assert response["Allow"] == "POST, DELETE"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_calendar_can_only_be_read(api, address, bob, method):
    response = getattr(api, method)(address(bob))

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"


# Each of them revokes the token, and so the address.
def through_the_api(user):
    change_password(user, PASSWORD, "another password")


def in_a_shell(user):
    user.set_password("another password")
    user.save()


def unusable(user):
    user.set_unusable_password()
    user.save()


def deactivated(user):
    user.is_active = False
    user.save()


def deactivated_and_back(user):
    deactivated(user)
    user.is_active = True
    user.save()


def deactivated_without_a_signal(user):
    User.objects.filter(pk=user.pk).update(is_active=False)


def deleted(user):
    user.delete()


def revoked(user):
    tokens.revoke_token(user)


def set_by_an_admin(user):
    passwords = {"password1": "another password", "password2": "another password", "usable_password": "true"}
    response = superuser().post(f"/admin/auth/user/{user.pk}/password/", passwords)
    assert response.status_code == 302


def revoked_by_an_admin(user):
    Token.objects.filter(user=user).delete()
    changes = {"action": "revoke_tokens", "_selected_action": [user.pk]}
    superuser().post("/admin/auth/user/", changes)


@pytest.mark.parametrize(
    "change",
    [
        through_the_api,
        in_a_shell,
        unusable,
        deactivated,
        deactivated_and_back,
        deactivated_without_a_signal,
        deleted,
        revoked,
        set_by_an_admin,
        revoked_by_an_admin,
    ],
)
def test_address_is_invalid_after(api, address, bob, carol, change):
    bob.set_password(PASSWORD)
    bob.save()
    path, other = address(bob), address(carol)
    assert api.get(path).status_code == 200

    change(bob)

    assert api.get(path).status_code == 404
    assert api.get(other).status_code == 200


@pytest.mark.parametrize("with_token", [True, False])
def test_admin_is_told_of_each_user_whose_address_was_revoked(address, bob, carol, with_token):
    for user in (bob, carol):
        address(user)
    Token.objects.exclude(user=carol if with_token else None).delete()
    changes = {"action": "revoke_tokens", "_selected_action": [bob.pk, carol.pk]}

    response = superuser().post("/admin/auth/user/", changes, follow=True)

    told = [str(message) for message in response.context["messages"]]
    assert told == ["Revoked the tokens and calendar addresses of 2 users."]
    assert set(LogEntry.objects.values_list("object_id", flat=True)) == {str(bob.pk), str(carol.pk)}


def test_address_stays_after_other_changes(api, as_user, address, bob):
    bob.set_password(PASSWORD)
    bob.save()
    path = address(bob)
    bob.email = "other@example.org"
    bob.save()
    as_user(bob).post(LONG.logout)
    bob.refresh_from_db()
    bob.check_password(PASSWORD)
    bob.save()

    assert api.get(path).status_code == 200


def test_token_that_was_revoked_meanwhile_gets_no_address(as_user, bob, monkeypatch):
    client = as_user(bob)
    monkeypatch.setattr("reservation.views.renew_key", lambda token: Token.objects.all().delete() and renew_key(token))

    response = client.post(LONG.calendar)

    assert response.status_code == 401
    assert not CalendarKey.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="on SQLite, one transaction waits for the other")
def test_address_and_new_password_at_once(bob):
    """If the address is created first, the new password deletes it. If not, the token was revoked, so there is none."""
    bob.set_password(PASSWORD)
    bob.save()
    for number in range(10):
        token = Token.objects.get_or_create(user=bob)[0]
        current, new = (PASSWORD, "another") if number % 2 == 0 else ("another", PASSWORD)

        race([lambda: renew_key(token), lambda: change_password(bob, current, new)])  # noqa: B023  (both are run at once)

        assert not CalendarKey.objects.exists()
        bob.refresh_from_db()


@pytest.mark.django_db(transaction=True)
def test_one_of_several_new_addresses_remains(api, bob):
    token = Token.objects.create(user=bob)

    keys = race([lambda: renew_key(token)] * 4)

    found = [api.get(LONG.feed(key)).status_code for key in keys if isinstance(key, str)]
    assert found.count(200) == 1
    if connection.vendor == "postgresql":
        assert len(found) == 4


def test_key_is_in_no_log_line(client, address, bob, caplog, monkeypatch):
    path = address(bob)
    key = path.split("/")[-1].removesuffix(".ics")
    client.raise_request_exception = False
    caplog.set_level("DEBUG")
    requests = [
        (200, path),
        (200, LONG.feed(key)),
        (200, SHORT.feed(key)),
        (404, f"{LONG.calendar}{key}"),
        (404, f"{path}/"),
        (404, f"{LONG.calendar}{key}.ICS"),
        (404, f"/api/calendar/{'x' * 300}/{key}"),
        (404, f"/api/calendar/%0a{key}"),
        (400, path, {"host": "evil.example"}),
    ]
    for status, wanted, *headers in requests:
        assert client.get(wanted, headers=headers[0] if headers else {}).status_code == status
    assert client.post(path).status_code == 405
    monkeypatch.setattr("reservation.views.holder_of", lambda key: 1 / 0)
    assert client.get(path).status_code == 500
    monkeypatch.setattr("reservation.views.holder_of", unavailable)
    assert client.get(path).status_code == 503

    logged = [record for record in caplog.records if "calendar" in record.getMessage()]
    assert len(logged) >= len(requests) + 4
    assert "Internal Server Error: /api/reservation/calendar/(key)" in caplog.text
    for record in caplog.records:
        # Also what a handler for error reports gets.
        told = json.dumps({name: str(value) for name, value in vars(record).items() if name != "exc_info"})
        assert key not in told
        assert not hasattr(record, "request") or key not in record.request.path


def unavailable(key):
    raise calendar_is_away


calendar_is_away = tokens.Unavailable("no connection")


def test_viewer_of_a_user_sees_no_key(address, bob):
    key = address(bob).split("/")[-1].removesuffix(".ics")
    viewer = staff("eve", "view_user", "delete_user")

    for page in ("change", "delete"):
        text = viewer.get(f"/admin/auth/user/{bob.pk}/{page}/").text
        assert key not in text
        assert CalendarKey.objects.get().digest not in text
