"""Limits that the apps share, kept by one of them that the others don't know."""

from django.apps import apps

from eventmanagement.environment import Rate


def spend(rate: Rate | None, *subject: str) -> None:
    """Count one use of the rate by this subject, exactly and across workers; no rate is no limit.

    Raises TooManyAttempts, with the seconds to wait, where none is left. Within a transaction the use
    counts if the transaction commits.
    """
    apps.get_model("authentication", "AttemptWindow").objects.spend(rate, *subject)
