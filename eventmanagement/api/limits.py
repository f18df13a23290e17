"""Rate limits for all apps. The counts are in the app authentication, which other apps don't import."""

from django.apps import apps

from eventmanagement.environment import Rate


def spend(rate: Rate | None, *subject: str) -> None:
    """Count one attempt for this subject, exactly and across workers. A rate of None means no limit.

    Raises TooManyAttempts, with the seconds to wait, if the limit is reached. Within a transaction, the attempt only
    counts if the transaction commits.
    """
    apps.get_model("authentication", "AttemptWindow").objects.spend(rate, *subject)
