"""Rate-limited login, shared by the API and the admin."""

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.request import Request

from authentication.models import AttemptWindow
from eventmanagement.environment import Rate
from eventmanagement.serving.client_ip import client_ip

# How many logins are allowed for each failed login that is allowed. Successful logins are limited too, because each
# computes a hash.
ATTEMPT_LIMIT_FACTOR = 10


def log_in(request: HttpRequest | Request, username: str, password: str) -> User | None:
    """Return the user with this username and password, or None.

    Raises TooManyAttempts, even with the right password, after too many failed logins from this client IP, or from
    this client IP for this username. Also raises it after ATTEMPT_LIMIT_FACTOR times as many logins, failed or not:
    otherwise a client with a few accounts of its own could keep the server hashing, and nobody else could log in.
    There is no limit per username alone: it would let anyone lock a user out.
    """
    ip = client_ip(request)
    limits = [
        (settings.THROTTLE_LOGIN, ("login", ip, username)),
        (settings.THROTTLE_LOGIN_ADDRESS, ("login_address", ip)),
    ]
    for rate, subject in limits:
        AttemptWindow.objects.check_limit(rate, *subject)
    # Count the attempt before hashing: these limits are on the number of hashes.
    for rate, (name, *client) in limits:
        AttemptWindow.objects.spend(_attempt_limit(rate), f"{name}_attempt", *client)
    user = authenticate(request, username=username, password=password)
    for rate, subject in limits:
        if user is None:
            AttemptWindow.objects.spend(rate, *subject)
        else:
            # Many guesses sent at the same time all pass the first check, because no failure is counted yet. This
            # second check stops the right guess among them.
            AttemptWindow.objects.check_limit(rate, *subject)
    return user


def confirm_password(request: Request, password: str) -> User | None:
    """Return the user of the request if this is their password, or None.

    The limits are those of ``log_in``, which counts this as a login. Raises TooManyAttempts.
    """
    user = log_in(request, request.user.username, password)
    # The username may belong to another user since the request was authenticated.
    return user if user and user.pk == request.user.pk else None


def _attempt_limit(failures: Rate | None) -> Rate | None:
    return failures and failures._replace(limit=ATTEMPT_LIMIT_FACTOR * failures.limit)
