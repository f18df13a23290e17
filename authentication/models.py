"""Rate limits, counted in the database so that all workers share the counts."""

import hashlib
from datetime import datetime

from django.db import models, transaction
from django.utils import timezone

from eventmanagement.environment import Rate
from eventmanagement.refusals import TooManyAttempts


class AttemptWindowManager(models.Manager["AttemptWindow"]):
    def spend(self, rate: Rate | None, *subject: str) -> None:
        """Count one attempt for this subject. Raises TooManyAttempts if the limit is reached. None means no limit.

        The count is exact under concurrency, because its row is locked.
        """
        if rate is None:
            return
        now = timezone.now()
        with transaction.atomic():
            window, opened = self.select_for_update().get_or_create(
                subject=_digest(subject), defaults={"ends_at": now + rate.period}
            )
            if window.ends_at <= now:
                window.attempts, window.ends_at = 0, now + rate.period
            window.check_limit(rate)
            window.attempts += 1
            window.save()
        if opened:
            self._delete_expired(now)

    def check_limit(self, rate: Rate | None, *subject: str) -> None:
        """Raise TooManyAttempts if this subject has reached the limit. Does not count an attempt."""
        if rate is None:
            return
        for window in self.filter(subject=_digest(subject), ends_at__gt=timezone.now()):
            window.check_limit(rate)

    def _delete_expired(self, now: datetime) -> None:
        """Delete up to ten expired windows. Called for each new window, so that the table stays small."""
        with transaction.atomic():
            ended = self.filter(ends_at__lt=now).select_for_update(skip_locked=True)
            self.filter(pk__in=list(ended.values_list("pk", flat=True)[:10])).delete()


class AttemptWindow(models.Model):
    """The number of attempts for one subject in a fixed window, which begins with the first attempt.

    The counts are not in Django's cache. Its counters can lose concurrent attempts, and a full cache evicts
    entries, which an attacker could provoke.
    """

    # A SHA-256 digest, because the subject may contain a username, or a password typed into the wrong field.
    subject = models.CharField(max_length=64, unique=True)
    attempts = models.PositiveIntegerField(default=0)
    # The index is for deleting expired windows.
    ends_at = models.DateTimeField(db_index=True)

    objects = AttemptWindowManager()

    def __str__(self) -> str:
        return f"{self.attempts} attempts until {self.ends_at}"

    def check_limit(self, rate: Rate) -> None:
        """Raise TooManyAttempts, with the seconds to wait, if the number of attempts has reached the limit."""
        if self.attempts >= rate.limit:
            raise TooManyAttempts(wait=(self.ends_at - timezone.now()).total_seconds())


def _digest(subject: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(subject).encode()).hexdigest()
