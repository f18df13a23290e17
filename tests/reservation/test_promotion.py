"""Every way to free seats gives them to the first people on the waiting list."""

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from event.models import Event, EventQuerySet
from event.signals import seats_freed
from reservation import booking, waitlist
from reservation.models import Reservation, WaitlistEntry
from tests.ledger import assert_balanced, begin, book, finish, holders, line, seats_left, wait


@pytest.fixture
def event(alice, event_of):
    return event_of(alice, capacity=2)


@pytest.fixture
def crowd(event, people):
    """Five users: the first two have the seats, the others wait."""
    crowd = people(5)
    book(event, *crowd[:2])
    wait(event, *crowd[2:])
    return crowd


def save_with_capacity(event):
    event.capacity += 1
    event.save()


def save_in_bulk(event):
    event.capacity += 1
    Event.objects.bulk_update([event], ["capacity"])


def first_of(event):
    return Reservation.objects.filter(event=event).first()


FREE_ONE_SEAT = {
    "cancel": lambda event: first_of(event).cancel(),
    "delete": lambda event: first_of(event).delete(),
    "delete queryset": lambda event: Reservation.objects.filter(pk=first_of(event).pk).delete(),
    "delete related": lambda event: event.reservations.filter(user__username="person0").delete(),
    "delete user": lambda event: User.objects.get(username="person0").delete(),
    "delete users": lambda event: User.objects.filter(username="person0").delete(),
    "resize": lambda event: event.resize(3),
    "save": save_with_capacity,
    "update": lambda event: Event.objects.filter(pk=event.pk).update(capacity=3),
    "update with expression": lambda event: Event.objects.update(capacity=F("capacity") + 1),
    "bulk_update": save_in_bulk,
}


@pytest.mark.parametrize("free", FREE_ONE_SEAT.values(), ids=FREE_ONE_SEAT)
def test_freed_seat_goes_to_the_first_in_line(event, crowd, free):
    free(event)

    assert holders(event)[-1] == "person2"
    assert line(event) == ["person3", "person4"]
    assert seats_left(event) == 0
    assert_balanced()


@pytest.mark.parametrize("free", FREE_ONE_SEAT.values(), ids=FREE_ONE_SEAT)
def test_promotion_is_logged(event, crowd, free, caplog, django_capture_on_commit_callbacks):
    caplog.set_level("INFO", "event.seats")

    with django_capture_on_commit_callbacks(execute=True):
        free(event)

    freed, promoted = caplog.records
    assert (freed.movement, freed.seats_left) in (("returned", 1), ("resized", 1))
    assert (promoted.movement, promoted.event, promoted.user, promoted.reservation, promoted.seats_left) == (
        "promoted",
        event.pk,
        crowd[2].pk,
        Reservation.objects.get(user=crowd[2]).pk,
        0,
    )


FREE_AFTER_THE_START = {way: free for way, free in FREE_ONE_SEAT.items() if way != "cancel"}


@pytest.mark.parametrize("free", FREE_AFTER_THE_START.values(), ids=FREE_AFTER_THE_START)
def test_started_event_promotes(event, crowd, free):
    begin(event)
    event.refresh_from_db()

    free(event)

    assert holders(event)[-1] == "person2"
    assert_balanced()


@pytest.mark.parametrize("free", FREE_AFTER_THE_START.values(), ids=FREE_AFTER_THE_START)
def test_waiting_list_of_an_event_that_is_over_is_removed(event, crowd, free):
    finish(event)
    event.refresh_from_db()

    free(event)

    assert line(event) == []
    assert "person2" not in holders(event)
    assert seats_left(event) == 1
    assert_balanced()


@pytest.mark.parametrize("hours", [-1, 1])
def test_larger_capacity_and_new_end_together(as_user, alice, routes, event, crowd, hours):
    """Whether the event is over depends on the new end."""
    (begin if hours < 0 else finish)(event)
    end = timezone.now() + timedelta(hours=hours)
    times = {"start_time": (end - timedelta(hours=1)).isoformat(), "end_time": end.isoformat()}

    response = as_user(alice).patch(routes.event(event), times | {"capacity": 3})

    assert response.status_code == 200
    assert holders(event)[2:] == (["person2"] if hours > 0 else [])
    assert line(event) == (["person3", "person4"] if hours > 0 else [])
    assert_balanced()


def test_promoted_reservation_is_marked(event, crowd):
    first_of(event).cancel()

    marks = dict(Reservation.objects.values_list("user__username", "from_waitlist"))
    assert marks == {"person1": False, "person2": True}


def test_order_of_the_waiting_list_is_the_order_of_the_reservations(event, crowd):
    event.resize(5)

    assert holders(event) == [f"person{number}" for number in range(5)]
    created = list(Reservation.objects.order_by("pk").values_list("created_at", flat=True))
    assert created == sorted(created)


def test_seats_that_nobody_waits_for_are_free(event, crowd):
    event.resize(9)

    assert (event.seats_remaining, event.waiting) == (4, 0)
    assert_balanced()


def test_deleting_all_reservations_promotes_as_many(event, crowd):
    event.reservations.all().delete()

    assert holders(event) == ["person2", "person3"]
    assert line(event) == ["person4"]
    assert_balanced()


def test_events_are_promoted_together(event, crowd, alice, event_of):
    """With different numbers of freed seats, and one event without a waiting list."""
    second, empty = event_of(alice, capacity=1), event_of(alice, capacity=1)
    book(second, crowd[0])
    book(empty, crowd[0])
    wait(second, crowd[3], crowd[1])

    Reservation.objects.all().delete()

    assert holders(event) == ["person2", "person3"]
    assert (holders(second), line(second)) == (["person3"], ["person1"])
    assert holders(empty) == []
    assert_balanced()


def insert_place(person, event, waiting=1):
    """Insert a place with raw SQL, and raise the event's count by ``waiting``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO reservation_waitlistentry (event_id, user_id, created_at) VALUES (%s, %s, CURRENT_TIMESTAMP)",
            [event.pk, person.pk],
        )
        cursor.execute("UPDATE event_event SET waiting = waiting + %s WHERE id = %s", [waiting, event.pk])


@pytest.mark.parametrize("free", [lambda event: first_of(event).cancel(), lambda event: event.resize(3)])
def test_place_of_a_holder_is_removed_and_the_next_gets_the_seat(event, people, free):
    crowd = people(4)
    book(event, *crowd[:2])
    insert_place(crowd[1], event)
    wait(event, crowd[2], crowd[3])

    free(event)

    assert holders(event)[-1] == "person2"
    assert line(event) == ["person3"]
    assert_balanced()


def test_user_who_wrongly_holds_and_waits_can_be_deleted(event, crowd):
    """The place is removed before the reservation. Otherwise the user would get the seat again."""
    insert_place(crowd[0], event)
    WaitlistEntry.objects.filter(user__in=crowd[2:]).delete()

    crowd[0].delete()

    assert (holders(event), line(event)) == (["person1"], [])
    assert_balanced()


def set_waiting(event, waiting):
    """Write a wrong count with raw SQL."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE event_event SET waiting = %s WHERE id = %s", [waiting, event.pk])


@pytest.mark.parametrize("waiting", [1, 2, 9])
def test_wrong_count_does_not_stop_cancellations(event, crowd, waiting):
    set_waiting(event, waiting)

    for reservation in Reservation.objects.all():
        reservation.cancel()

    # If the count said that nobody waits, the seat was counted as free. check_seats finds that.
    assert holders(event) == ["person2", "person3"][:waiting]


def test_wrong_count_is_corrected_when_the_waiting_list_ends(event, crowd):
    set_waiting(event, 9)

    event.resize(6)

    assert (seats_left(event), event.waiting) == (1, 0)
    assert_balanced()


def test_places_that_are_not_counted_are_promoted_by_a_larger_capacity(event, crowd):
    set_waiting(event, 0)

    event.resize(4)

    assert holders(event)[2:] == ["person2", "person3"]


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(booking, "BATCH_SIZE", 2)
    monkeypatch.setattr(waitlist, "BATCH_SIZE", 2)


@pytest.mark.usefixtures("small_batches")
def test_batches_keep_the_order(event, people):
    crowd = people(9)
    book(event, *crowd[:2])
    insert_place(crowd[0], event)
    wait(event, *crowd[2:8])

    event.resize(7)

    assert holders(event) == [f"person{number}" for number in range(7)]
    assert line(event) == ["person7"]
    assert_balanced()


@pytest.mark.usefixtures("small_batches")
def test_batches_of_several_events(event, crowd, alice, event_of):
    others = [event_of(alice, capacity=1) for _ in range(3)]
    for other in others:
        book(other, crowd[0])
        wait(other, *crowd[1:])

    Reservation.objects.all().delete()

    assert holders(event) == ["person2", "person3"]
    assert [holders(other) for other in others] == [["person1"]] * 3
    assert_balanced()


def statements_of(act):
    with CaptureQueriesContext(connection) as queries:
        act()
    return len(queries)


def test_number_of_statements_does_not_depend_on_the_people(alice, event_of, people):
    crowd = people(30)

    def promote(number):
        event = event_of(alice, capacity=1)
        book(event, crowd[0])
        wait(event, *crowd[1 : 1 + number])
        return statements_of(partial(event.resize, 1 + number))

    assert promote(2) == promote(29)


def test_number_of_statements_does_not_depend_on_the_events(alice, event_of, people):
    crowd = people(8)

    def delete(person, number):
        for event in [event_of(alice, capacity=1) for _ in range(number)]:
            book(event, person)
            wait(event, *crowd[2:])
        return statements_of(Reservation.objects.filter(user=person).delete)

    assert delete(crowd[0], 2) == delete(crowd[1], 20)
    assert_balanced()


def test_failed_promotion_rolls_everything_back(event, crowd, monkeypatch):
    monkeypatch.setattr(waitlist, "_convert", lambda places: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        first_of(event).cancel()

    assert holders(event) == ["person0", "person1"]
    assert len(line(event)) == 3
    assert_balanced()


def test_second_receiver_is_refused(event, crowd):
    """Two receivers would both give the same seats away."""

    def receive(**kwargs):
        return {}

    seats_freed.connect(receive, sender=Event)
    try:
        with pytest.raises(ValueError, match="too many values"):
            event.resize(3)
    finally:
        seats_freed.disconnect(receive, sender=Event)


@pytest.mark.parametrize("together", [True, False])
def test_deleted_users_do_not_get_seats(event, crowd, together):
    gone = User.objects.filter(username__in=["person0", "person2", "person4"])

    if together:
        gone.delete()
    else:
        for person in gone:
            person.delete()

    assert holders(event) == ["person1", "person3"]
    assert line(event) == []
    assert_balanced()


def test_users_deleted_in_the_admin_do_not_get_seats(boss, event, crowd, caplog, django_capture_on_commit_callbacks):
    """Their places are removed first, so that no seat goes to one of them even for a moment."""
    gone = [crowd[0].pk, crowd[2].pk]
    data = {"action": "delete_selected", "_selected_action": gone, "post": "yes"}
    caplog.set_level("INFO", "event.seats")

    with django_capture_on_commit_callbacks(execute=True):
        boss.post(reverse("admin:auth_user_changelist"), data)

    assert holders(event) == ["person1", "person3"]
    assert line(event) == ["person4"]
    movements = [record.movement for record in caplog.records if record.name == "event.seats"]
    assert movements == ["returned", "promoted"]
    assert_balanced()


@pytest.mark.parametrize("select", [lambda users: users[0], lambda users: User.objects.filter(pk=users[0].pk)])
def test_events_of_reservations_and_places_are_locked_together(alice, event_of, people, monkeypatch, select):
    """Otherwise two deletions could lock the same events in opposite orders."""
    users = people(2)
    first, second = event_of(alice, capacity=1), event_of(alice, capacity=1)
    book(first, users[1])
    book(second, users[0])
    wait(first, users[0])
    locks = []
    lock = EventQuerySet.lock
    monkeypatch.setattr(EventQuerySet, "lock", lambda events: locks.append(lock(events)) or locks[-1])

    select(users).delete()

    assert locks[0] == [first.pk, second.pk]


@pytest.mark.parametrize(
    "delete",
    [
        lambda places: places.delete(),
        lambda places: [place.delete() for place in places],
        lambda places: [place.leave() for place in places],
    ],
    ids=["queryset", "one by one", "leave"],
)
def test_deleted_places_are_counted(event, crowd, alice, event_of, delete):
    other = event_of(alice, capacity=1)
    book(other, crowd[0])
    wait(other, *crowd[2:])

    delete(WaitlistEntry.objects.filter(user__in=crowd[3:]))

    assert (line(event), line(other)) == (["person2"], ["person2"])
    assert_balanced()


def test_deleting_places_returns_their_number(event, crowd):
    assert WaitlistEntry.objects.all().delete() == (3, {"reservation.WaitlistEntry": 3})
    assert WaitlistEntry.objects.all().delete() == (0, {})


@pytest.mark.parametrize(
    "write",
    [
        lambda place: place.save(),
        lambda place: WaitlistEntry.objects.update(event=place.event),
        lambda place: WaitlistEntry.objects.bulk_update([place], ["event"]),
        lambda place: WaitlistEntry.objects.bulk_create([WaitlistEntry(user=place.user, event=place.event)]),
    ],
    ids=["save", "update", "bulk_update", "bulk_create"],
)
def test_places_are_not_changed(event, crowd, write):
    with pytest.raises(TypeError), transaction.atomic():
        write(WaitlistEntry.objects.first())

    assert_balanced()


def test_place_created_in_a_shell_is_counted(event, crowd, bob):
    place = WaitlistEntry.objects.create(user=bob, event=event)

    assert place.position == place.event.waiting == 4
    assert_balanced()


def test_str_names_the_user_and_the_event(event, crowd):
    assert str(WaitlistEntry.objects.first()) == "person2 waits for Concert"
