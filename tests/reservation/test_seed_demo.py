"""The command seed_demo."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import F
from django.utils import timezone

from event.models import Event
from reservation.management.commands import seed_demo
from reservation.models import Reservation, WaitlistEntry
from tests.conftest import LONG
from tests.ledger import assert_balanced
from tests.openapi import operation


def seed(**options):
    output = StringIO()
    call_command("seed_demo", stdout=output, **options)
    return output.getvalue()


def test_demo_events_are_realistic():
    seed()

    events = Event.objects.all()
    assert events.count() == 30
    assert events.filter(start_time__gt=timezone.now()).count() == 30
    assert events.values("title").distinct().count() == 30
    assert events.filter(seats_remaining=0).count() >= 3
    assert events.filter(seats_remaining__gt=0, seats_remaining__lte=F("capacity") / 10).count() >= 3
    assert events.filter(seats_remaining=F("capacity")).exists()
    assert events.filter(waiting__gt=0).count() >= 3
    assert events.filter(seats_remaining=0, waiting=0).exists()
    assert events.values("organizer").distinct().count() == 6
    assert_balanced()


def test_output_has_the_numbers():
    output = seed()

    numbers = [Event.objects.count(), Reservation.objects.count(), WaitlistEntry.objects.count()]
    assert "{} events, {} seats booked, {} people waiting.".format(*numbers) in output


def test_one_demo_event_is_called_off():
    seed()

    event = Event.objects.called_off().get()
    assert event.cancellation_reason == seed_demo.REASON
    assert event.reservations.exists()


def test_one_demo_event_is_at_the_door():
    seed()

    [event] = Event.objects.filter(reservations__checked_in_at__isnull=False).distinct()
    assert event.show_time is None or event.show_time < timezone.now()
    assert timezone.now() < event.start_time < timezone.now() + timedelta(minutes=30)
    assert 0 < event.reservations.checked_in().count() < event.reserved
    assert event == Event.objects.first()


@pytest.mark.django_db(transaction=True, reset_sequences=True)
@pytest.mark.parametrize("count", [1, 30])
def test_example_of_a_booking_works_for_months(as_user, count):
    seed(events=count)
    example = operation("POST", LONG.reservations)["requestBody"]["content"]["application/json"]["examples"]
    [booking] = [body["value"] for body in example.values()]

    response = as_user(User.objects.get(username="admin")).post(LONG.reservations, booking)

    assert response.status_code == 201
    assert Event.objects.get(pk=booking["event_id"]).start_time > timezone.now() + timedelta(days=100)
    assert Event.objects.filter(start_time__lte=timezone.now()).count() == 0


def test_admin_logs_in_with_the_password_that_is_printed():
    output = seed(events=2)

    [password] = re.findall("password: (.+)", output)
    admin = User.objects.get(username="admin")
    assert admin.check_password(password)
    assert admin.is_superuser


def test_nobody_else_can_log_in():
    seed(events=2)

    assert not any(user.has_usable_password() for user in User.objects.exclude(username="admin"))


def test_many_events_come_in_batches_and_not_all_are_booked(monkeypatch):
    monkeypatch.setattr(seed_demo, "BATCH_SIZE", 2)
    monkeypatch.setattr(seed_demo, "MAX_BOOKED_EVENTS", 3)

    seed(events=5)

    assert Event.objects.count() == 5
    assert Event.objects.filter(seats_remaining__lt=F("capacity")).count() == 3


def test_second_time_changes_nothing():
    seed(events=2)

    output = seed(events=2)

    assert output.startswith("The demo data already exists. ")
    assert output.endswith("run: manage.py changepassword admin\n")
    assert Event.objects.count() == 2


def test_database_with_a_missing_migration_gets_no_data():
    MigrationRecorder.Migration.objects.filter(app="reservation").delete()

    with pytest.raises(CommandError, match=r"Run first: manage\.py migrate"):
        seed()

    assert not User.objects.exists()


@pytest.mark.parametrize("data", ["alice", "event"])
def test_database_with_data_of_its_own_is_left_alone(data, request):
    request.getfixturevalue(data)

    with pytest.raises(CommandError, match="is not empty"):
        seed()

    assert not Reservation.objects.exists()
    assert not User.objects.filter(username="admin").exists()


@pytest.mark.django_db(transaction=True)
def test_seats_are_moved_without_a_line_for_each(caplog):
    seed(events=2)

    assert not [record for record in caplog.records if record.name == "event.seats"]


@pytest.mark.parametrize("events", ["0", "-1", "many"])
def test_number_of_events_that_makes_no_sense_is_refused(events):
    with pytest.raises(CommandError):
        call_command("seed_demo", "--events", events)
