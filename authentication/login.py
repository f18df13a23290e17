"""Rate-limited login, shared by the API and the admin."""

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.request import Request

from authentication.models import AttemptWindow
from eventmanagement.environment import Rate
from eventmanagement.serving.client_ip import client_ip

# All attempts that are allowed for each failure that is, because a success costs a hash as well.
ATTEMPTS_PER_FAILURE = 10


def log_in(request: HttpRequest | Request, username: str, password: str) -> User | None:
    """Give the account of this username and password, or None.

    Raises TooManyAttempts, whatever the password, once too many have failed from this address, or for this
    username from this address, or once there were ATTEMPTS_PER_FAILURE times as many attempts for this
    username from this address, failed or not. No limit goes by the username alone: then anybody could
    lock the user out.
    """
    ip = client_ip(request)
    limits = [
        (settings.THROTTLE_LOGIN, ("login", ip, username)),
        (settings.THROTTLE_LOGIN_ADDRESS, ("login_address", ip)),
    ]
    for rate, subject in limits:
        AttemptWindow.objects.refuse_if_spent(rate, *subject)
    # Counted before the hash, which is what it limits.
    AttemptWindow.objects.spend(_all_attempts(settings.THROTTLE_LOGIN), "login_attempt", ip, username)
    user = authenticate(request, username=username, password=password)
    for rate, subject in limits:
        if user is None:
            AttemptWindow.objects.spend(rate, *subject)
        else:
            # Many guesses sent at the same time all pass the first check, because no failure is counted yet. This
            # second check stops the right guess among them.
            AttemptWindow.objects.refuse_if_spent(rate, *subject)
    return user


def _all_attempts(failures: Rate | None) -> Rate | None:
    return failures and failures._replace(limit=ATTEMPTS_PER_FAILURE * failures.limit)
