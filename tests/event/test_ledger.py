"""Every way to write an event in Django keeps the seat ledger correct."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import CharField, F, ProtectedError
from django.db.models.functions import Cast, Floor, Random
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from event.exceptions import CapacityBelowReserved
from event.models import Event, EventQuerySet
from eventmanagement.database.errors import violates
from reservation.models import Reservation
from tests.ledger import assert_balanced, book, seats_left, wait


def test_new_event_has_all_its_seats(alice, event_of):
    event = event_of(alice, capacity=7)

    assert event.seats_remaining == seats_left(event) == 7


def test_events_created_in_bulk_have_all_their_seats(alice, event):
    copies = [
        Event(title="Copy", capacity=4, organizer=alice, start_time=event.start_time, end_time=event.end_time)
        for _ in range(2)
    ]

    Event.objects.bulk_create(copies)

    assert_balanced()


def test_saving_an_event_read_before_a_booking_loses_no_seat(bob, event):
    stale = Event.objects.get()
    Reservation.objects.book(user=bob, event_id=event.pk)
    stale.title = "Concerto"

    stale.save()

    assert Event.objects.get().title == "Concerto"
    assert seats_left(event) == 9


def test_saving_a_changed_capacity_moves_the_seats(bob, event):
    stale = Event.objects.get()
    Reservation.objects.book(user=bob, event_id=event.pk)
    stale.capacity = 5

    stale.save()

    assert stale.seats_remaining == seats_left(event) == 4


def test_saving_capacity_runs_one_update(event):
    event.capacity = 5

    with CaptureQueriesContext(connection) as queries:
        event.save(update_fields=["capacity"])

    assert sum(query["sql"].startswith("UPDATE") for query in queries) == 1


def test_saving_too_small_capacity_changes_nothing(people, event):
    for person in people(3):
        Reservation.objects.book(user=person, event_id=event.pk)
    event.title, event.capacity = "Smaller", 2

    with pytest.raises(CapacityBelowReserved):
        event.save()

    assert Event.objects.get().title == "Concert"
    assert_balanced()


@pytest.mark.parametrize("capacity", [4, F("capacity") + 5, F("capacity") - 9])
def test_updating_capacity_moves_the_seats(bob, event, capacity):
    Reservation.objects.book(user=bob, event_id=event.pk)

    Event.objects.update(capacity=capacity)

    assert_balanced()


def test_bulk_updating_capacity_moves_the_seats(bob, event):
    Reservation.objects.book(user=bob, event_id=event.pk)
    event.capacity = 3

    Event.objects.bulk_update([event], ["capacity"])

    assert seats_left(event) == 2


def test_resizing_a_deleted_event_finds_none(event):
    Event.objects.filter(pk=event.pk).delete()

    with pytest.raises(Event.DoesNotExist):
        event.resize(5)


def test_deleting_events_in_a_shell_takes_their_reservations(bob, event):
    Reservation.objects.book(user=bob, event_id=event.pk)

    Event.objects.filter(title="Concert").delete()

    assert not Reservation.objects.exists()


def test_organizer_with_events_cannot_be_deleted(alice, bob, event, event_of):
    reservation = Reservation.objects.book(user=alice, event_id=event_of(bob).pk)

    with pytest.raises(ProtectedError):
        alice.delete()

    assert list(Reservation.objects.all()) == [reservation]
    assert_balanced()


@pytest.mark.parametrize(
    ("name", "assignment"),
    [
        ("event_capacity_is_positive", "capacity = 0, seats_remaining = 0"),
        ("event_seats_are_not_oversold", "seats_remaining = -1"),
        ("event_seats_are_within_capacity", "seats_remaining = capacity + 1"),
        ("event_waiting_is_not_negative", "seats_remaining = 0, waiting = -1"),
        ("event_nobody_waits_beside_a_free_seat", "waiting = 1"),
        ("event_nobody_waits_if_called_off", "cancelled_at = start_time, seats_remaining = 0, waiting = 1"),
        ("event_starts_before_it_ends", "end_time = start_time"),
        ("event_opens_before_it_ends", "show_time = '9999-01-01 00:00:00+00:00'"),
    ],
)
def test_database_refuses_by_name(event, name, assignment):
    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE event_event SET {assignment}")

    assert violates(refusal.value, Event, name)


def test_str_is_title(event):
    assert str(event) == "Concert"


def test_doors_may_open_up_to_the_end(alice, event_of, event):
    late = event_of(alice, show_time=event.start_time + timedelta(hours=2), start_time=event.start_time)

    assert Event.objects.filter(pk=late.pk).exists()


@pytest.mark.parametrize(
    "write",
    [
        lambda event: Event.objects.update(seats_remaining=0),
        lambda event: Event.objects.update(capacity=5, seats_remaining=5),
        lambda event: Event.objects.bulk_update([event], ["seats_remaining"]),
        lambda event: Event.objects.bulk_create(
            [event], update_conflicts=True, unique_fields=["id"], update_fields=["capacity"]
        ),
        lambda event: event.save(update_fields=iter(["seats_remaining"])),
        lambda event: Event.objects.update_or_create(pk=event.pk, defaults={"seats_remaining": 3}),
        lambda event: Event.objects.update(waiting=0),
        lambda event: Event.objects.update(capacity=5, waiting=5),
        lambda event: Event.objects.bulk_update([event], ["waiting"]),
        lambda event: event.save(update_fields=["title", "waiting"]),
    ],
    ids=[
        "update",
        "update both",
        "bulk_update",
        "bulk_create",
        "save",
        "update_or_create",
        "update waiting",
        "update capacity and waiting",
        "bulk_update waiting",
        "save waiting",
    ],
)
def test_counts_cannot_be_set(bob, event, write):
    Reservation.objects.book(user=bob, event_id=event.pk)

    with pytest.raises(TypeError), transaction.atomic():
        write(event)

    assert_balanced()


@pytest.mark.parametrize(
    "create",
    [
        lambda fields: Event.objects.create(**fields),
        lambda fields: Event(**fields).save(),
        lambda fields: Event.objects.get_or_create(title="New", defaults=fields),
        lambda fields: Event.objects.update_or_create(title="New", defaults=fields),
        lambda fields: fields.pop("organizer").organized_events.create(**fields),
    ],
    ids=["create", "save", "get_or_create", "update_or_create", "related manager"],
)
@pytest.mark.parametrize("seats", [3, 10])
def test_new_event_with_a_seat_count_is_refused(alice, create, seats):
    start = timezone.now() + timedelta(days=1)
    times = {"start_time": start, "end_time": start + timedelta(hours=1)}

    with pytest.raises(TypeError, match=r"set it to None. All its seats are free\.") as refusal, transaction.atomic():
        create({"title": "Concert", "organizer": alice, "capacity": 10, "seats_remaining": seats} | times)

    assert "Reservation.objects.book()" in str(refusal.value)
    assert not Event.objects.exists()


def test_bulk_create_replaces_a_seat_count_with_a_warning(alice, event):
    times = {"start_time": event.start_time, "end_time": event.end_time}
    loaded = [Event(title="New", organizer=alice, capacity=10, seats_remaining=seats, **times) for seats in (0, 3)]

    with pytest.warns(RuntimeWarning, match=r"bulk_create has replaced seats_remaining\."):
        created = Event.objects.bulk_create(loaded)

    assert [seats_left(each) for each in created] == [10, 10]


def test_bulk_create_accepts_all_seats_free(alice, event):
    times = {"start_time": event.start_time, "end_time": event.end_time}
    [created] = Event.objects.bulk_create(
        [Event(title="New", organizer=alice, capacity=10, seats_remaining=10, **times)]
    )

    assert seats_left(created) == 10


@pytest.mark.parametrize(
    "create",
    [lambda fields: Event.objects.create(**fields), lambda fields: Event.objects.bulk_create([Event(**fields)])],
    ids=["create", "bulk_create"],
)
@pytest.mark.parametrize("waiting", [0, 3])
def test_new_event_with_people_waiting_is_refused(alice, create, waiting):
    start = timezone.now() + timedelta(days=1)
    times = {"start_time": start, "end_time": start + timedelta(hours=1)}

    with pytest.raises(TypeError, match=r"^waiting can't be set directly\."), transaction.atomic():
        create({"title": "Concert", "organizer": alice, "capacity": 10, "waiting": waiting} | times)

    assert not Event.objects.exists()


def save_in_bulk(event):
    Event.objects.bulk_create([event])


@pytest.mark.parametrize("save", [Event.save, save_in_bulk])
def test_nobody_waits_for_a_copy(bob, carol, alice, event_of, save):
    event = event_of(alice, capacity=1)
    book(event, bob)
    wait(event, carol)
    event.refresh_from_db()
    event.pk = None

    save(event)

    assert (event.seats_remaining, event.waiting) == (1, 0)
    assert_balanced()


def test_saving_does_not_write_an_outdated_count(bob, carol, alice, event_of):
    event = event_of(alice, capacity=1)
    book(event, bob)
    wait(event, carol)

    event.save()

    event.refresh_from_db()
    assert event.waiting == 1


def test_update_with_capacity_changes_the_other_fields_too(bob, carol, alice, event_of):
    """An expression sees the values from before the update, as in one statement."""
    event = event_of(alice, capacity=1)
    book(event, bob)
    wait(event, carol)

    updated = Event.objects.filter(capacity=1).update(capacity=F("capacity") + 1, title=Cast("capacity", CharField()))

    event.refresh_from_db()
    assert (updated, event.title, event.capacity, event.seats_remaining, event.waiting) == (1, "1", 2, 0, 0)
    assert_balanced()


@pytest.mark.parametrize("save", [Event.save, save_in_bulk])
def test_failed_insert_can_be_repeated(alice, event, save):
    new = Event(title="New", organizer=alice, capacity=0, start_time=event.start_time, end_time=event.end_time)
    with pytest.raises(IntegrityError), transaction.atomic():
        save(new)
    new.capacity = 5

    save(new)

    assert new.seats_remaining == seats_left(new) == 5


def test_fixture_keeps_its_seat_count(bob, event, tmp_path):
    """The reservations of the event are in the fixture too, so the ledger's rules do not apply."""
    Reservation.objects.book(user=bob, event_id=event.pk)
    fixture = tmp_path / "events.json"
    call_command("dumpdata", "event", "reservation", output=str(fixture))
    Event.objects.all().delete()

    call_command("loaddata", str(fixture), verbosity=0)

    assert seats_left(event) == 9
    assert_balanced()


def test_new_event_does_not_overwrite_one_that_is_there(bob, event):
    Reservation.objects.book(user=bob, event_id=event.pk)
    impostor = Event(
        pk=event.pk, title="Other", capacity=3, organizer=bob, start_time=event.start_time, end_time=event.end_time
    )

    with pytest.raises(IntegrityError), transaction.atomic():
        impostor.save()

    assert_balanced()


@pytest.mark.parametrize("save", [Event.save, save_in_bulk])
def test_copy_of_an_event_has_all_its_seats(bob, event, save):
    event = Reservation.objects.book(user=bob, event_id=event.pk).event
    event.pk = None

    save(event)

    assert Event.objects.count() == 2
    assert seats_left(event) == 10


def test_saving_writes_the_fields_that_are_named(alice, bob, event):
    event.organizer, event.title = bob, "Not this"

    event.save(update_fields=["organizer_id"])

    event.refresh_from_db()
    assert (event.organizer, event.title) == (bob, "Concert")
    with pytest.raises(ValueError, match="bogus"):
        event.save(update_fields=["bogus"])


def test_saving_takes_the_names_of_fields_from_any_iterable(event):
    event.title, event.capacity = "Concerto", 5

    event.save(update_fields=iter(["title", "capacity"]))

    event.refresh_from_db()
    assert (event.title, event.capacity) == ("Concerto", 5)
    assert_balanced()


def test_save_that_fails_leaves_the_capacity_alone(event):
    event.capacity, event.end_time = 4, event.start_time

    with pytest.raises(IntegrityError), transaction.atomic():
        event.save()

    assert seats_left(event) == 10


@pytest.mark.parametrize("events", [Event.objects.all(), Event.objects.order_by("-pk")], ids=["default", "reversed"])
def test_events_are_locked_in_the_order_of_their_ids(alice, event_of, events):
    begins = [timezone.now() + timedelta(days=days) for days in (5, 3, 4)]
    created = [event_of(alice, start_time=begin).pk for begin in begins]

    with transaction.atomic():
        assert events.all().lock() == created


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the whole database")
@pytest.mark.parametrize(
    "delete",
    [
        lambda event: event.delete(),
        lambda event: Event.objects.filter(title="Concert").delete(),
        lambda event: event.reservations.all().delete(),
        lambda event: User.objects.filter(reservations__event=event).delete(),
    ],
    ids=["event", "events", "reservations", "users"],
)
def test_events_are_locked_in_order_before_anything_is_deleted(bob, event, delete):
    Reservation.objects.book(user=bob, event_id=event.pk)

    with CaptureQueriesContext(connection) as queries:
        delete(event)

    statements = [query["sql"] for query in queries]
    # A deletion of users locks the users first.
    locks = [number for number, statement in enumerate(statements) if "UPDATE" in statement[-20:]]
    lock = next(number for number in locks if 'FROM "auth_user"' not in statements[number])
    deletion = next(number for number, statement in enumerate(statements) if statement.startswith("DELETE"))
    assert 'FROM "event_event"' in statements[lock]
    assert "ASC FOR NO KEY UPDATE" in statements[lock]
    assert lock < deletion


def test_events_of_users_are_locked_together_each_time_a_queryset_is_deleted(people, alice, event_of, monkeypatch):
    users = people(2)
    # In the opposite order of the users.
    events = [event_of(alice), event_of(alice)]
    for user, each in zip(users, reversed(events), strict=True):
        Reservation.objects.book(user=user, event_id=each.pk)
    locks = []
    lock = EventQuerySet.lock
    monkeypatch.setattr(EventQuerySet, "lock", lambda events: locks.append(lock(events)) or locks[-1])
    queryset = User.objects.filter(username__startswith="person")

    with transaction.atomic():
        queryset.delete()
        transaction.set_rollback(True)
    queryset.delete()

    together = [each.pk for each in events]
    assert locks.count(together) == 2
    assert locks.index(together) == 0


def rename(event, **changes):
    for name, value in ({"title": "Renamed"} | changes).items():
        setattr(event, name, value)
    return event


@pytest.mark.parametrize("fields", [["id"], ["title"], ["title", "capacity"], ["seats_remaining"]])
def test_saving_an_event_that_was_loaded_in_part_writes_the_part(bob, event, fields):
    partial = Event.objects.only(*fields).get()
    Event.objects.filter(pk=event.pk).update(description="Changed meanwhile.")
    Reservation.objects.book(user=bob, event_id=event.pk)

    with CaptureQueriesContext(connection) as queries:
        rename(partial).save()

    stored = Event.objects.get()
    assert (stored.title, stored.description) == ("Renamed", "Changed meanwhile.")
    assert not any("description" in query["sql"] for query in queries)
    assert_balanced()


def test_saving_an_event_of_which_nothing_was_loaded_writes_nothing(event):
    unloaded = Event.objects.only("id").get()

    with CaptureQueriesContext(connection) as queries:
        unloaded.save()

    assert not any("event_event" in query["sql"] for query in queries)


def test_capacity_is_moved_with_its_seats_though_neither_was_loaded(bob, event):
    Reservation.objects.book(user=bob, event_id=event.pk)

    rename(Event.objects.only("id").get(), capacity=4).save()

    assert (Event.objects.get().capacity, seats_left(event)) == (4, 3)


@pytest.mark.parametrize(
    "load",
    [
        lambda event: Event.objects.only("id").get(pk=event.pk),
        lambda event: Event.objects.defer("capacity").get(pk=event.pk),
        lambda event: rename(Event.objects.get(pk=event.pk), capacity=99, seats_remaining=98),
        lambda event: Event(pk=event.pk),
    ],
    ids=["only id", "no capacity", "changed", "by hand"],
)
@pytest.mark.parametrize("write", [lambda event: event.resize(4), lambda event: event.delete(), Event.lock])
def test_database_values_take_precedence(alice, bob, event, event_of, load, write):
    Reservation.objects.book(user=bob, event_id=event.pk)
    kept = Reservation.objects.book(user=bob, event_id=event_of(alice).pk)
    instance = load(event)

    with transaction.atomic():
        write(instance)

    if instance.pk:
        row = Event.objects.get(pk=event.pk)
        assert (instance.capacity, instance.seats_remaining) == (row.capacity, row.seats_remaining)
    else:
        assert list(Reservation.objects.all()) == [kept]
    assert_balanced()


def test_event_that_is_gone_is_not_logged_as_deleted(event, caplog, django_capture_on_commit_callbacks):
    caplog.set_level("INFO", "event.seats")
    again = Event.objects.get()
    event.delete()

    with django_capture_on_commit_callbacks(execute=True):
        again.delete()

    assert caplog.records == []


def test_random_capacity_is_one_number(people, event, event_of, alice):
    event_of(alice)

    Event.objects.update(capacity=Floor(Random() * 1000) + 2000)

    assert_balanced()


def test_capacity_is_not_written_past_the_ledger(event):
    Event._base_manager.filter(pk=event.pk).update(capacity=F("capacity") + 5)

    assert seats_left(event) == 15


def movements(caplog):
    return [record.movement for record in caplog.records if hasattr(record, "movement")]


@pytest.mark.django_db(transaction=True)
def test_journal_tells_of_capacities_that_change(event, caplog):
    caplog.set_level("INFO")
    event.title = "Renamed"
    event.save()
    event.resize(10)
    assert movements(caplog) == []

    event.capacity = 11
    event.save()
    Event.objects.update(capacity=F("capacity") + 1)
    event.resize(5)
    assert movements(caplog) == ["resized"] * 3
