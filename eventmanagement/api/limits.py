"""Rate limits for all apps. The counts are in the app authentication, which other apps don't import."""

from django.apps import apps

from eventmanagement.environment import Rate


def spend(rate: Rate | None, *subject: str) -> None:
    """Count one use of the rate by this subject, exactly and across workers; no rate is no limit.

    Raises TooManyAttempts, with the seconds to wait, where none is left. Within a transaction the use
    counts if the transaction commits.
    """
    apps.get_model("authentication", "AttemptWindow").objects.spend(rate, *subject)
