"""A user deletes the account: its seats become free, and its token, password and sessions stop working."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.authtoken.models import Token

from authentication.models import AttemptWindow
from authentication.tokens import MAX_ATTEMPTS
from event.models import Event
from eventmanagement.environment import rate
from reservation.models import Reservation, ReservationQuerySet
from tests.admin import delete_selected, signed_in
from tests.conftest import LONG
from tests.ledger import assert_balanced, begin, book, seats_left
from tests.races import RACE_TIMEOUT, race, wait_for_blocked_session

PASSWORD = "correct horse battery"
WRONG = {"password": ["The password is wrong."]}
ORGANIZES = {
    "detail": "This account organizes events. Delete them before you delete the account.",
    "code": "organizes_events",
}
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")


@pytest.fixture
def dave(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_user("dave", "dave@example.org", PASSWORD)


@pytest.fixture
def client(as_user, dave):
    return as_user(dave)


def delete(client, password=PASSWORD, **extra):
    return client.post(LONG.delete_account, {"password": password}, **extra)


def assert_kept(dave, client):
    assert User.objects.filter(pk=dave.pk).exists()
    assert client.get(LONG.me).status_code == 200
    assert_balanced()


def test_number_of_statements_does_not_grow_with_the_events(
    client, dave, alice, event_of, django_assert_max_num_queries
):
    events = [event_of(alice) for _ in range(30)]
    for each in events:
        Reservation.objects.book(user=dave, event_id=each.pk)

    # All of these events are locked meanwhile, so nobody else can book or cancel a seat.
    with django_assert_max_num_queries(50):
        assert delete(client).status_code == 204

    assert [seats_left(each) for each in events] == [10] * 30
    assert_balanced()


def test_account_is_deleted(client, dave, bob):
    response = delete(client)

    assert response.status_code == 204
    assert response.content == b""
    assert list(User.objects.all()) == [bob]
    assert not Token.objects.exists()


def test_token_and_password_of_a_deleted_account_are_refused(client, api):
    delete(client)

    assert client.get(LONG.me).status_code == 401
    assert client.get(LONG.events).status_code == 401
    assert delete(client).status_code == 401
    assert api.post(LONG.login, {"username": "dave", "password": PASSWORD}).status_code == 400


def test_sessions_end(client, dave):
    dave.is_staff = True
    dave.save()
    session = signed_in(dave)

    delete(client)

    assert session.get("/admin/").status_code == 302


def test_seats_become_free(client, dave, bob, alice, event, event_of):
    started = event_of(alice, title="Started")
    book(event, bob, dave)
    book(started, dave)
    begin(started)

    delete(client)

    assert [seats_left(event), seats_left(started)] == [9, 10]
    assert Reservation.objects.get().user == bob
    assert_balanced()


@pytest.mark.parametrize("ends_in_days", [-1, 1])
def test_organizer_is_refused(client, dave, event, event_of, ends_in_days):
    own = event_of(dave, end_time=timezone.now() + timedelta(days=2))
    Event.objects.filter(pk=own.pk).update(
        start_time=timezone.now() + timedelta(days=ends_in_days - 1),
        end_time=timezone.now() + timedelta(days=ends_in_days),
    )
    book(event, dave)

    response = delete(client)

    assert response.status_code == 400
    assert response.json() == ORGANIZES
    assert_kept(dave, client)
    assert Reservation.objects.filter(user=dave).exists()


def test_organizer_who_deleted_the_events_is_deleted(client, dave, event_of):
    event_of(dave).delete()

    assert delete(client).status_code == 204


@pytest.mark.parametrize("password", ["wrong", PASSWORD.upper(), f"{PASSWORD} "])
def test_wrong_password_is_refused(client, dave, password):
    response = delete(client, password)

    assert response.status_code == 400
    assert response.json() == WRONG
    assert_kept(dave, client)


def test_wrong_password_precedes_organizes_events(client, event_of, dave):
    event_of(dave)

    assert delete(client, "wrong").json() == WRONG


def test_account_without_a_usable_password_is_refused(as_user, bob):
    assert delete(as_user(bob)).json() == WRONG


@pytest.mark.parametrize("value", ["", None, [], {}, True, "x" * 4097])
def test_bad_values_are_refused_before_anything_is_hashed_or_counted(client, dave, monkeypatch, value):
    monkeypatch.setattr(MD5PasswordHasher, "encode", None)

    response = client.post(LONG.delete_account, {"password": value})

    assert response.status_code == 400
    assert list(response.json()) == ["password"]
    assert not AttemptWindow.objects.exists()
    assert_kept(dave, client)


@pytest.mark.parametrize("body", [{}, {"old_password": PASSWORD}])
def test_missing_password_is_refused(client, dave, body):
    response = client.post(LONG.delete_account, body)

    assert response.json() == {"password": ["This field is required."]}
    assert_kept(dave, client)


@pytest.mark.parametrize("limit", ["THROTTLE_LOGIN", "THROTTLE_LOGIN_ADDRESS"])
def test_wrong_password_counts_as_a_failed_login(client, dave, settings, limit):
    setattr(settings, limit, rate("1/hour"))
    delete(client, "wrong")

    responses = [delete(client), client.post(LONG.login, {"username": "dave", "password": PASSWORD})]

    assert [response.status_code for response in responses] == [429, 429]
    assert responses[0].json()["code"] == "throttled"
    assert int(responses[0]["Retry-After"]) > 0
    assert_kept(dave, client)
    assert delete(client, REMOTE_ADDR="192.0.2.1").status_code == 204


def test_right_passwords_are_limited_like_logins(client, dave, event_of, settings):
    settings.THROTTLE_LOGIN = rate("1/hour")
    event_of(dave)

    outcomes = [delete(client).status_code for _ in range(11)]

    assert outcomes == [400] * 10 + [429]


def test_deletion_and_another_sign_up_reset_no_limit(client, api, settings):
    settings.THROTTLE_LOGIN = rate("1/hour")
    delete(client, "wrong")
    account = {"username": "dave", "password": PASSWORD}
    assert delete(client, REMOTE_ADDR="192.0.2.1").status_code == 204
    assert api.post(LONG.signup, account).status_code == 201

    assert api.post(LONG.login, account).status_code == 429


@contextmanager
def before_deleting_the_user(action):
    """Call ``action`` with the number of the attempt before each DELETE of the user, after the seats are free."""
    attempts = []

    def call_first(execute, sql, parameters, many, context):
        if sql.startswith('DELETE FROM "auth_user" '):
            attempts.append(sql)
            action(len(attempts))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(call_first):
        yield attempts


def elsewhere(action):
    """Call ``action`` on another connection, and wait until it has committed."""

    def run():
        try:
            action()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


class DeletionFailed(Exception):
    pass


def test_failed_deletion_changes_nothing(client, dave, event):
    book(event, dave)

    def fail(attempt):
        raise DeletionFailed

    with before_deleting_the_user(fail), pytest.raises(DeletionFailed):
        delete(client)

    assert_kept(dave, client)
    assert Reservation.objects.get().user == dave


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_concurrent_booking_is_cancelled_too(client, dave, event):
    def slip_in(attempt):
        if attempt == 1:
            elsewhere(lambda: book(event, dave))

    with before_deleting_the_user(slip_in) as attempts:
        response = delete(client)

    assert response.status_code == 204
    assert len(attempts) == 2
    assert not Reservation.objects.exists()
    assert seats_left(event) == 10


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_concurrently_created_event_prevents_deletion(client, dave, event_of):
    with before_deleting_the_user(lambda attempt: elsewhere(lambda: event_of(dave))) as attempts:
        response = delete(client)

    assert response.status_code == 400
    assert response.json() == ORGANIZES
    assert len(attempts) == 1
    assert_kept(dave, client)


@pytest.mark.django_db(transaction=True)
def test_attempts_are_limited(client, dave, event):
    """Each attempt finds another booking, made in the same transaction here so that SQLite can run it too."""
    with before_deleting_the_user(lambda attempt: book(event, dave)) as attempts:
        response = delete(client)

    assert response.status_code == 503
    assert response.json()["code"] == "unavailable"
    assert response["Retry-After"]
    assert len(attempts) == MAX_ATTEMPTS
    assert not Reservation.objects.exists()
    assert_kept(dave, client)


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.parametrize("kind", ["page", "action"])
def test_deletion_in_the_admin_at_the_same_time_does_not_deadlock(client, boss, dave, event, monkeypatch, kind):
    """Both lock the user, then the event."""
    book(event, dave)
    begun = threading.Event()
    cancel = ReservationQuerySet.delete

    def cancel_and_wait_for_the_other(reservations):
        cancelled = cancel(reservations)
        if not begun.is_set():
            begun.set()
            wait_for_blocked_session()
        return cancelled

    def delete_in_admin():
        if kind == "action":
            return delete_selected(boss, "auth_user", [dave])
        return boss.post(f"/admin/auth/user/{dave.pk}/delete/", {"post": "yes"}, follow=True)

    def delete_by_oneself():
        begun.wait(RACE_TIMEOUT)
        return delete(client)

    monkeypatch.setattr(ReservationQuerySet, "delete", cancel_and_wait_for_the_other)

    in_admin, by_oneself = race([delete_in_admin, delete_by_oneself])

    assert "success" in in_admin.text
    # The password can't be right any more.
    assert by_oneself.status_code == 400
    assert not User.objects.filter(pk=dave.pk).exists()
    assert_balanced()


@pytest.mark.django_db(transaction=True)
def test_deletions_at_once_delete_one_account(client, bob, event):
    book(event, bob)

    outcomes = race([lambda: delete(client).status_code] * 4)

    assert outcomes.count(204) == 1
    # 400 if the request was authenticated before the winner committed, otherwise 401.
    assert set(outcomes) <= {204, 400, 401}
    assert list(User.objects.exclude(username="alice")) == [bob]
    assert_balanced()


@pytest.mark.django_db(transaction=True)
@on_postgresql
@pytest.mark.usefixtures("either_body")
def test_bookings_during_a_deletion_lose_no_seat(client, dave, alice, event_of):
    events = [event_of(alice, capacity=1) for _ in range(6)]
    book(events[0], dave)

    def booking(event):
        return lambda: client.post(LONG.reservations, {"event_id": event.pk}).status_code

    deleted, *booked = race([lambda: delete(client).status_code, *map(booking, events)])

    assert set(booked) <= {201, 400, 401}
    assert deleted in {204, 503}
    assert Reservation.objects.exists() == User.objects.filter(pk=dave.pk).exists()
    assert_balanced()


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_other_changes_of_the_account_wait_for_the_deletion(client, dave, api):
    """A deadlock with the deletion would be 503."""
    passwords = {"old_password": PASSWORD, "new_password": "another password"}
    login = {"username": "dave", "password": PASSWORD}

    deleted, changed, *logins = race(
        [
            lambda: delete(client).status_code,
            lambda: client.post(LONG.password, passwords).status_code,
            *[lambda: api.post(LONG.login, login).status_code] * 2,
        ]
    )

    assert (deleted == 204) != (changed == 200)
    assert {deleted, changed} <= {200, 204, 400, 401}
    assert set(logins) <= {200, 400}
    assert User.objects.exists() == (changed == 200)


@pytest.mark.django_db(transaction=True)
@on_postgresql
def test_booking_does_not_wait_for_the_lock_of_the_account(dave, event):
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=dave.pk)
        elsewhere(lambda: book(event, dave))

    assert seats_left(event) == 9
