"""Logging in within the limit, wherever it is done."""

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from authentication.models import AttemptWindow


def address(request: HttpRequest | Request) -> str:
    """The client's address, past as many proxies as NUM_PROXIES trusts."""
    return BaseThrottle().get_ident(request)


def log_in(request: HttpRequest | Request, username: str, password: str) -> AbstractUser | None:
    """Give the account of this username and password, or None.

    Raises Throttled, whatever the password, once too many have failed for this username from this
    address.
    """
    failures = settings.THROTTLE_LOGIN, "login", address(request), username
    AttemptWindow.objects.refuse_if_spent(*failures)
    user = authenticate(request, username=username, password=password)
    if user is None:
        AttemptWindow.objects.spend(*failures)
    else:
        # Of many guesses sent at once all pass the first check; the right one must not pass this.
        AttemptWindow.objects.refuse_if_spent(*failures)
    return user
