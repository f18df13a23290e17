"""The rate limit on creating events."""

import pytest
from django.db import OperationalError

from authentication.models import AttemptWindow
from event.models import Event
from eventmanagement.environment import rate
from tests.admin import form_of
from tests.event.test_create import CONCERT
from tests.races import race


def test_limit_counts_events_by_account(as_user, alice, bob, routes, settings):
    settings.THROTTLE_EVENTS = rate("2/day")
    created = [as_user(alice).post(routes.events, CONCERT).status_code for _ in range(2)]

    response = as_user(alice).post(routes.events, CONCERT)
    somebody_else = as_user(bob).post(routes.events, CONCERT)

    assert created == [201, 201]
    assert response.status_code == 429
    assert response.json()["code"] == "throttled"
    assert 0 < int(response["Retry-After"]) <= 24 * 60 * 60
    assert somebody_else.status_code == 201
    assert Event.objects.filter(organizer=alice).count() == 2


def test_invalid_requests_are_not_counted(as_user, alice, routes, settings):
    settings.THROTTLE_EVENTS = rate("1/day")
    refused = as_user(alice).post(routes.events, CONCERT | {"capacity": 0})

    response = as_user(alice).post(routes.events, CONCERT)

    assert (refused.status_code, response.status_code) == (400, 201)


def test_validation_error_precedes_limit(as_user, alice, routes, settings):
    settings.THROTTLE_EVENTS = rate("1/day")
    as_user(alice).post(routes.events, CONCERT)

    assert as_user(alice).post(routes.events, CONCERT | {"capacity": 0}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_limit_does_not_count_what_is_not_created(as_user, alice, routes, monkeypatch):
    def fail(event, **options):
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Event, "save", fail)
        response = as_user(alice).post(routes.events, CONCERT)

    assert response.status_code == 503
    assert not AttemptWindow.objects.exists()


def test_deletion_does_not_reset_limit(as_user, alice, routes, settings):
    settings.THROTTLE_EVENTS = rate("1/day")
    created = as_user(alice).post(routes.events, CONCERT).json()
    as_user(alice).delete(routes.event(created["id"]))

    assert as_user(alice).post(routes.events, CONCERT).status_code == 429


def test_limit_can_be_switched_off(as_user, alice, routes, settings):
    settings.THROTTLE_EVENTS = rate("off")

    assert [as_user(alice).post(routes.events, CONCERT).status_code for _ in range(3)] == [201, 201, 201]
    assert not AttemptWindow.objects.exists()


def test_admin_has_no_limit(boss, event, settings):
    settings.THROTTLE_EVENTS = rate("1/day")

    for _ in range(2):
        boss.post("/admin/event/event/add/", form_of(event))

    assert Event.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_limit_is_exact_under_concurrency(as_user, alice, routes, settings):
    settings.THROTTLE_EVENTS = rate("3/day")
    client = as_user(alice)

    outcomes = race([lambda: client.post(routes.events, CONCERT).status_code] * 8)

    assert sorted(outcomes) == [201] * 3 + [429] * 5
    assert Event.objects.count() == AttemptWindow.objects.get().attempts == 3
