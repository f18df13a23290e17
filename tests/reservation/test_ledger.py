"""Every way to create or delete a reservation in Django keeps the seat ledger correct."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models.deletion import Collector
from django.urls import reverse

from event.models import Event
from reservation.models import Reservation
from tests.ledger import assert_balanced, begin, seats_left

pytestmark = pytest.mark.usefixtures("either_body")


@pytest.fixture
def crowd(people, event, event_of, alice):
    """Three users, each with reservations for two events."""
    crowd = people(3)
    second = event_of(alice, title="Second")
    for person in crowd:
        Reservation.objects.book(user=person, event_id=second.pk)
        Reservation.objects.book(user=person, event_id=event.pk)
    return crowd


def test_deleting_one_in_a_shell_gives_its_seat_back(crowd):
    deleted = Reservation.objects.first().delete()

    assert deleted == (1, {"reservation.Reservation": 1})
    assert_balanced()


def test_deleting_many_in_a_shell_gives_their_seats_back(crowd):
    deleted = Reservation.objects.filter(user__in=crowd[:2]).delete()

    assert deleted == (4, {"reservation.Reservation": 4})
    assert Reservation.objects.count() == 2
    assert_balanced()


def test_deleting_through_a_relation_gives_the_seats_back(crowd, event):
    event.reservations.all().delete()

    assert seats_left(event) == 10
    assert_balanced()


def test_deleting_empty_queryset_does_nothing(event):
    assert Reservation.objects.all().delete() == (0, {})


def test_deleting_gives_the_seat_of_a_started_event_back(crowd, event):
    begin(event)

    event.reservations.all().delete()

    assert seats_left(event) == 10


def test_deleting_a_user_gives_the_seats_back(crowd):
    crowd[0].delete()

    assert Reservation.objects.count() == 4
    assert_balanced()


def test_cascaded_user_deletion_gives_seats_back(crowd):
    """No model cascades to users today. If one did, the signal's ``origin`` would be rows of that model."""
    collector = Collector("default", origin=Event.objects.all())
    collector.collect(crowd[:1])

    collector.delete()

    assert Reservation.objects.count() == 4
    assert_balanced()


def test_deleting_users_together_gives_the_seats_back(crowd):
    User.objects.filter(username__startswith="person").delete()

    assert not Reservation.objects.exists()
    assert_balanced()


def test_concurrent_booking_prevents_user_deletion(crowd, event_of, alice, monkeypatch):
    third = event_of(alice, title="Third")
    delete = Reservation.objects.all().delete

    def book_after(queryset):
        deleted = delete.__func__(queryset)
        Reservation.objects.book(user=crowd[0], event_id=third.pk)
        return deleted

    monkeypatch.setattr(type(Reservation.objects.all()), "delete", book_after)

    @transaction.atomic
    def delete_and_commit():
        crowd[0].delete()
        transaction.get_connection().check_constraints()

    with pytest.raises(IntegrityError):
        delete_and_commit()

    assert Reservation.objects.count() == 6
    assert_balanced()


@pytest.mark.parametrize(
    "write",
    [
        lambda: Reservation.objects.first().save(),
        lambda: Reservation.objects.update(event=Event.objects.last()),
        lambda: Reservation.objects.bulk_update(Reservation.objects.all(), ["event"]),
        lambda: Reservation.objects.bulk_create([Reservation(user=User.objects.first(), event=Event.objects.first())]),
    ],
    ids=["save", "update", "bulk_update", "bulk_create"],
)
def test_writes_that_bypass_booking_are_refused(crowd, write):
    with pytest.raises(TypeError), transaction.atomic():
        write()

    assert_balanced()


def test_creating_a_row_takes_its_seat(bob, event):
    Reservation.objects.create(user=bob, event=event)

    assert seats_left(event) == 9


def test_admin_deletes_a_user(admin_client, crowd):
    admin_client.post(reverse("admin:auth_user_delete", args=[crowd[0].pk]), {"post": "yes"})

    assert not User.objects.filter(pk=crowd[0].pk).exists()
    assert Reservation.objects.count() == 4
    assert_balanced()


def test_related_manager_does_not_move_a_reservation(crowd, event, event_of, alice):
    third = event_of(alice, title="Third")

    with pytest.raises(TypeError), transaction.atomic():
        third.reservations.add(Reservation.objects.filter(event=event).first(), bulk=True)

    assert_balanced()


@pytest.mark.parametrize("fields", [[], ["created_at"]])
def test_new_reservation_does_not_overwrite_existing(crowd, alice, event_of, fields):
    there = Reservation.objects.first()
    copied = {field: getattr(there, field) for field in fields}

    with pytest.raises(IntegrityError), transaction.atomic():
        Reservation(pk=there.pk, user=alice, event=event_of(alice), **copied).save()

    assert_balanced()


def test_deletion_includes_all_selected_rows(crowd, event):
    found = Reservation.objects.filter(user__reservations__event=event, user=crowd[0])

    deleted, _ = found.delete()

    assert deleted == 2
    assert_balanced()


def test_users_found_by_their_reservations_are_deleted_with_all_of_them(crowd, event):
    User.objects.filter(reservations__event=event).delete()

    assert not User.objects.filter(username__startswith="person").exists()
    assert_balanced()


def test_only_the_users_who_are_deleted_lose_their_seats(crowd, monkeypatch):
    bystander = User.objects.filter(pk=crowd[1].pk)
    User.objects.filter(pk=crowd[0].pk).update(is_active=False)
    delete = type(Reservation.objects.all()).delete

    def deactivate_first(queryset):
        bystander.update(is_active=False)
        return delete(queryset)

    monkeypatch.setattr(type(Reservation.objects.all()), "delete", deactivate_first)

    User.objects.filter(is_active=False).delete()

    assert bystander.exists()
    assert Reservation.objects.filter(user__in=bystander).count() == 2
    assert_balanced()
