import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import InterfaceError, OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from event.models import Event, EventManager
from reservation.audit import differences, repair
from reservation.models import Reservation
from tests.ledger import assert_balanced, book, finish, holders, seats_left, wait
from tests.races import race, wait_for_blocked_session


def check_seats(**options):
    output = StringIO()
    try:
        call_command("check_seats", stdout=output, no_color=True, **options)
        status = 0
    except CommandError as error:
        status = error.returncode
    return status, output.getvalue().splitlines()


def falsify(event, **fields):
    """Write wrong values to the ledger with raw SQL."""
    with connection.cursor() as cursor:
        for field, value in fields.items():
            cursor.execute(f"UPDATE event_event SET {field} = %s WHERE id = %s", [value, event.pk])


@pytest.fixture
def attended(bob, event):
    """Alice's concert, with a reservation of Bob."""
    Reservation.objects.book(user=bob, event_id=event.pk)
    return event


def test_correct_ledger_has_no_differences(attended):
    assert check_seats() == (0, ["No differences found."])


@pytest.mark.parametrize("seats", [8, 10])
def test_wrong_ledger_is_printed(attended, seats):
    falsify(attended, seats_remaining=seats)

    status, lines = check_seats()

    assert status == 1
    assert lines == [f"event {attended.pk}: capacity 10, {seats} seats remaining, 1 reservations"]
    assert seats_left(attended) == seats


@pytest.mark.parametrize("seats", [8, 10])
def test_wrong_ledger_is_repaired(attended, alice, event_of, seats):
    falsify(attended, seats_remaining=seats)
    falsify(event_of(alice), seats_remaining=0)

    status, lines = check_seats(repair=True)

    assert status == 0
    assert len(lines) == 3
    assert lines[-1] == "2 events repaired."
    assert_balanced()


def test_oversold_event_is_not_repaired(attended, carol):
    Reservation.objects.book(user=carol, event_id=attended.pk)
    falsify(attended, seats_remaining=0, capacity=1)

    status, lines = check_seats(repair=True)

    assert status == 1
    assert lines == [f"event {attended.pk}: capacity 1, 0 seats remaining, 2 reservations"]


def test_one_query_compares_all(alice, event_of, django_assert_num_queries):
    for _ in range(3):
        event_of(alice)

    with django_assert_num_queries(1):
        assert not list(differences())


@pytest.mark.parametrize("repairs", [True, False])
def test_missing_migration_has_its_own_exit_code(attended, repairs):
    falsify(attended, seats_remaining=8)
    MigrationRecorder.Migration.objects.filter(app="reservation").delete()

    with pytest.raises(CommandError, match=r"Run first: manage\.py migrate") as refusal:
        call_command("check_seats", repair=repairs)

    assert refusal.value.returncode == 2
    assert seats_left(attended) == 8


@pytest.mark.parametrize("error", [OperationalError("lock\ntimeout"), InterfaceError("lock timeout")])
def test_failed_repair_has_its_own_exit_code(attended, monkeypatch, error):
    def fail(manager, event_id, *counts):
        raise error

    falsify(attended, seats_remaining=8)
    monkeypatch.setattr(EventManager, "set_seats", fail)

    with pytest.raises(CommandError, match=r"^The database can't be used: lock timeout$") as refusal:
        call_command("check_seats", repair=True)

    assert refusal.value.returncode == 2
    assert refusal.value.__cause__ is error


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"DATABASE_URL": "sqlite:////nowhere/at/all"}, "CommandError: The database can't be used: "),
        ({"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"}, "CommandError: The database can't be used: "),
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set."),
        ({"DATABASE_URL": "nothing"}, 'Environment variable "DATABASE_URL" invalid'),
    ],
)
def test_check_without_a_database_has_a_one_line_error(setting, sentence):
    done = subprocess.run(
        [sys.executable, "manage.py", "check_seats"],
        cwd=settings.BASE_DIR,
        env=os.environ | setting,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


@pytest.fixture
def awaited(alice, bob, people, event_of):
    """An event with one seat, which Bob has, and three people waiting."""
    awaited = event_of(alice, capacity=1)
    book(awaited, bob)
    wait(awaited, *people(3))
    return awaited


WRONG = {
    "too few waiting": ({"waiting": 1}, "capacity 1, 0 seats remaining, 1 reservations, 1 waiting, 3 places", 1),
    "too many waiting": ({"waiting": 7}, "capacity 1, 0 seats remaining, 1 reservations, 7 waiting, 3 places", 1),
    "seats not counted": ({"capacity": 3}, "capacity 3, 0 seats remaining, 1 reservations, 3 waiting, 3 places", 3),
    "beside a free seat": (
        {"waiting": 0, "capacity": 3, "seats_remaining": 2},
        "capacity 3, 2 seats remaining, 1 reservations, 0 waiting, 3 places",
        3,
    ),
    "more seats than people": (
        {"waiting": 0, "capacity": 9, "seats_remaining": 8},
        "capacity 9, 8 seats remaining, 1 reservations, 0 waiting, 3 places",
        4,
    ),
}


@pytest.mark.parametrize(("fields", "line", "seated"), WRONG.values(), ids=WRONG)
def test_wrong_waiting_list_is_printed_and_repaired(awaited, fields, line, seated):
    falsify(awaited, **fields)

    assert check_seats() == (1, [f"event {awaited.pk}: {line} on the waiting list"])
    assert check_seats(repair=True)[0] == 0

    assert holders(awaited) == ["bob", "person0", "person1", "person2"][:seated]
    assert check_seats() == (0, ["No differences found."])
    assert_balanced()


def test_correct_waiting_list_has_no_differences(awaited):
    assert check_seats() == (0, ["No differences found."])


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite can't drop a constraint")
def test_people_who_wait_while_a_seat_is_free_are_found_though_all_counts_are_right(awaited, without):
    """The constraint is the only thing that prevents this."""
    without(Event, "event_nobody_waits_beside_a_free_seat")
    falsify(awaited, capacity=2, seats_remaining=1)

    assert len(list(differences())) == 1


def test_repair_logs_the_promotions(awaited, caplog, django_capture_on_commit_callbacks):
    falsify(awaited, waiting=0, capacity=4, seats_remaining=3)
    caplog.set_level("INFO", "event.seats")

    with django_capture_on_commit_callbacks(execute=True):
        repair(awaited.pk)

    movements = [(record.movement, record.seats_left) for record in caplog.records]
    assert movements == [("repaired", 3), ("promoted", 2), ("promoted", 1), ("promoted", 0)]


def test_repair_of_an_event_that_is_over_removes_its_waiting_list(awaited):
    finish(awaited)
    falsify(awaited, waiting=0, capacity=2, seats_remaining=1)

    assert repair(awaited.pk)

    assert holders(awaited) == ["bob"]
    assert_balanced()


def insert_place(event, person):
    """Insert a place with raw SQL, without counting it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO reservation_waitlistentry (event_id, user_id, created_at) VALUES (%s, %s, %s)",
            [event.pk, person.pk, "2026-01-01 00:00:00+00:00"],
        )


def test_called_off_event_has_no_differences(awaited):
    awaited.cancel()

    assert check_seats() == (0, ["No differences found."])


@pytest.mark.parametrize("capacity", [1, 3])
def test_people_who_wait_for_a_called_off_event_are_found_and_removed(awaited, carol, capacity):
    awaited.cancel()
    awaited.resize(capacity)
    insert_place(awaited, carol)

    line = f"capacity {capacity}, {capacity - 1} seats remaining, 1 reservations, 0 waiting, 1 places"
    assert check_seats() == (1, [f"event {awaited.pk}: {line} on the waiting list, called off"])
    assert check_seats(repair=True)[0] == 0

    assert holders(awaited) == ["bob"]
    assert check_seats() == (0, ["No differences found."])
    assert_balanced()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite can't drop a constraint")
def test_people_who_wait_for_a_called_off_event_are_found_though_all_counts_are_right(awaited, without):
    """The constraint is the only thing that prevents this."""
    without(Event, "event_nobody_waits_if_called_off")
    falsify(awaited, cancelled_at="2026-01-01 00:00:00+00:00")

    assert len(list(differences())) == 1
    assert repair(awaited.pk)

    assert_balanced()


@pytest.mark.django_db(transaction=True)
def test_repair_is_safe_while_people_book(people, event):
    falsify(event, seats_remaining=9)

    race(
        [partial(Reservation.objects.book, user=person, event_id=event.pk) for person in people(8)]
        + [partial(check_seats, repair=True)] * 2
    )

    check_seats(repair=True)
    assert_balanced()
    assert Event.objects.get().seats_remaining == 10 - Reservation.objects.count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite runs transactions one after another")
def test_booking_waits_for_a_repair_that_has_counted(bob, event, monkeypatch):
    falsify(event, seats_remaining=9)
    set_seats = EventManager.set_seats
    bookings = []

    def book_before(manager, event_id, *counts):
        bookings.append(thread.submit(race, [partial(Reservation.objects.book, user=bob, event_id=event_id)]))
        wait_for_blocked_session(unless=bookings[0].done)
        set_seats(manager, event_id, *counts)

    monkeypatch.setattr(EventManager, "set_seats", book_before)

    with ThreadPoolExecutor(1) as thread:
        repair(event.pk)

    [booked] = bookings[0].result()
    assert booked == Reservation.objects.get()
    assert_balanced()


def test_deleted_event_needs_no_repair(attended):
    attended.reservations.all().delete()
    gone = attended.pk
    attended.delete()

    assert repair(gone)
