"""Attempts are counted in fixed windows. Expired windows are deleted without waiting for locks or losing counts."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authentication.models import AttemptWindow
from eventmanagement.environment import rate
from eventmanagement.refusals import TooManyAttempts

RATE = rate("2/min")


def make_windows(count, ended=True):
    moment = timezone.now() + timedelta(minutes=-1 if ended else 1)
    return AttemptWindow.objects.bulk_create(
        AttemptWindow(subject=f"subject {number}", attempts=1, ends_at=moment) for number in range(count)
    )


def test_new_window_deletes_few_expired_windows():
    make_windows(25)

    AttemptWindow.objects.spend(RATE, "login", "somebody")

    assert AttemptWindow.objects.count() == 25 - 10 + 1


def test_open_windows_are_kept():
    make_windows(3, ended=False)

    AttemptWindow.objects.spend(RATE, "login", "somebody")

    assert AttemptWindow.objects.count() == 4


def test_attempt_in_open_window_deletes_nothing():
    AttemptWindow.objects.spend(RATE, "login", "somebody")
    make_windows(3)

    with CaptureQueriesContext(connection) as queries:
        AttemptWindow.objects.spend(RATE, "login", "somebody")

    assert not any("DELETE" in query["sql"] for query in queries)
    assert AttemptWindow.objects.count() == 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the whole database")
def test_locked_window_is_skipped():
    [window, other] = make_windows(2)
    somebody = connection.copy()
    somebody.set_autocommit(False)
    with somebody.cursor() as cursor:
        cursor.execute(
            "UPDATE authentication_attemptwindow SET ends_at = now() + interval '1 minute' WHERE id = %s", [window.pk]
        )
    with connection.cursor() as cursor:
        # Waiting for a lock would raise an error.
        cursor.execute("SET lock_timeout = '10ms'")

    try:
        AttemptWindow.objects.spend(RATE, "login", "somebody")
        somebody.commit()
    finally:
        somebody.close()
        connection.close()

    assert AttemptWindow.objects.filter(pk=window.pk).exists()
    assert not AttemptWindow.objects.filter(pk=other.pk).exists()


def test_subject_has_one_window():
    [window] = make_windows(1)

    with pytest.raises(IntegrityError), transaction.atomic():
        AttemptWindow.objects.create(subject=window.subject, ends_at=window.ends_at)


def test_limit_resets_after_period():
    for _ in range(2):
        AttemptWindow.objects.spend(RATE, "login", "somebody")
    with pytest.raises(TooManyAttempts):
        AttemptWindow.objects.spend(RATE, "login", "somebody")

    AttemptWindow.objects.update(ends_at=timezone.now() - timedelta(seconds=1))

    AttemptWindow.objects.spend(RATE, "login", "somebody")
    assert AttemptWindow.objects.get().attempts == 1
