"""Token authentication, and creating and revoking tokens."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User, update_last_login
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from rest_framework import authentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed, ErrorDetail
from rest_framework.request import Request

from eventmanagement.database.errors import Unavailable
from eventmanagement.database.queries import PreparedQuery
from eventmanagement.signals import credentials_revoked

T = TypeVar("T")

# The format of Token.generate_key: twenty random bytes in hexadecimal.
TOKEN_LENGTH = 40
TOKEN_PATTERN = re.compile("[0-9a-f]+")
# The accepted schemes: REST framework's own, and the one of RFC 6750.
SCHEMES = {"token", "bearer"}
# In characters: enough for the scheme, several spaces and the token.
MAX_HEADER_LENGTH = 100
INVALID_TOKEN = "The token is invalid. Log in to get a new one."  # noqa: S105 (a message)
HEADER_FORMAT = "Send it as `Authorization: Token <token>`."
# How many times a login, or another change of an account, compares the checked password hash with the stored one. A
# second time is needed if another login has upgraded the hash meanwhile.
MAX_ATTEMPTS = 3
# Loads only the fields of the user that every request needs. Django loads the others on access.
USER_BY_TOKEN = PreparedQuery(
    lambda key: User.objects.filter(auth_token__key=key), fields=["id", "username", "is_active"], key="key"
)


class TokenAuthentication(authentication.TokenAuthentication):
    """Reads ``Authorization: Token <token>`` and ``Bearer <token>``. Looks up only strings in the format of a token.

    Ignores a header with another scheme, because it may be meant for a proxy in front of the server. If the request
    needs a token, the message of the 401 says what is wrong with the header (``explain``).
    """

    # The query, for statements that find the user of a token together with other rows.
    user_by_token = USER_BY_TOKEN

    def authenticate(self, request: HttpRequest | Request) -> tuple[User, Token] | None:
        key = self.key_of(request)
        return None if key is None else self.authenticate_credentials(key)

    def key_of(self, request: HttpRequest | Request) -> str | None:
        """Return the token in the request's header, or None. Raises AuthenticationFailed if it can't be a token."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        words = header[:MAX_HEADER_LENGTH].split()
        if not words or words[0].lower() not in SCHEMES:
            return None
        if len(header) > MAX_HEADER_LENGTH:
            raise AuthenticationFailed("The Authorization header is too long.")
        if len(words) == 1:
            raise AuthenticationFailed(f"The Authorization header has no token. {HEADER_FORMAT}")
        if len(words) > 2:
            raise AuthenticationFailed(f"The token in the Authorization header has spaces. {HEADER_FORMAT}")
        key: str = words[1]
        if len(key) != TOKEN_LENGTH or not TOKEN_PATTERN.fullmatch(key):
            raise AuthenticationFailed(INVALID_TOKEN)
        return key

    def authenticate_credentials(self, key: str) -> tuple[User, Token]:
        user = self.accept(USER_BY_TOKEN.first(key=key))
        return user, Token(key=key, user=user)

    def accept(self, user: User | None) -> User:
        """Return ``user``, which a query for the token found. Raises AuthenticationFailed if it is None or inactive."""
        if not user:
            raise AuthenticationFailed(INVALID_TOKEN)
        if not user.is_active:
            raise AuthenticationFailed("This account is inactive.")
        return user

    def explain(self, request: Request) -> ErrorDetail | None:
        """Return what is wrong with a header that ``authenticate`` ignored. None if there is no such header."""
        words = request.META.get("HTTP_AUTHORIZATION", "")[:MAX_HEADER_LENGTH].split()
        if not words or words[0].lower() in SCHEMES:
            return None
        # Neither message repeats the header, which may contain a secret.
        reason = "has no scheme before the token" if len(words) == 1 else "has an unknown scheme"
        return ErrorDetail(f"The Authorization header {reason}. {HEADER_FORMAT}", AuthenticationFailed.default_code)


def get_or_create_token(user: User, password: str) -> Token | None:
    """Return the token of a user who has just logged in, and set ``last_login``. Creates the token if there is none.

    Returns None if the password is no longer right. See ``run_if_password_still_matches``.
    """

    def log_in(current: User) -> Token:
        update_last_login(None, current)  # type: ignore[arg-type]  # Django does not use the sender.
        return Token.objects.get_or_create(user=current)[0]

    return run_if_password_still_matches(user, password, log_in)


def run_if_password_still_matches(user: User, password: str, action: Callable[[User], T]) -> T | None:
    """Call ``action`` with a user whose password has just been checked. Returns its result.

    Returns None if the password was changed, or the user was deactivated or deleted, since the check. The action runs
    in a transaction that locks the user's row: a concurrent change of the user waits for the lock, and then finds what
    the action did. If the transaction fails with an IntegrityError, it is repeated. Raises Unavailable after
    MAX_ATTEMPTS attempts that were interrupted by concurrent changes.
    """
    checked = user.password
    for _ in range(MAX_ATTEMPTS):
        try:
            with transaction.atomic():
                # With no_key, bookings of this user, which reference the user, don't wait for this lock. Otherwise this
                # could deadlock: a booking holds the lock of an event, and the action may wait for that lock.
                current = User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).first()
                if current is None:
                    return None
                if current.password == checked:
                    return action(current)
        except IntegrityError:
            # Other code, which does not lock the user, created or deleted a row that references the user.
            continue
        # The hash has changed. If another login upgraded it, the password still matches. This check is outside
        # the transaction because hashing is too slow to hold a row lock.
        if not check_password(password, current.password):
            return None
        checked = current.password
    raise Unavailable("the account changed during every attempt")


def revoke_tokens(user_ids: list[int]) -> set[int]:
    """Delete the tokens of these users, and send ``credentials_revoked``.

    Returns the ids of the users who had a token, or something that a receiver has deleted, such as a calendar key.
    """
    tokens = Token.objects.filter(user__in=user_ids)
    holders = set(tokens.values_list("user_id", flat=True))
    tokens.delete()
    responses: list[Any] = credentials_revoked.send(sender=User, user_ids=user_ids)
    return holders.union(*(other_holders for _, other_holders in responses))


def revoke_token(user: User) -> None:
    """Delete the user's token, if there is one, and send ``credentials_revoked``."""
    revoke_tokens([user.pk])


def revoke_token_if_password_changed(user: User) -> None:
    """Call ``revoke_token`` if the stored password hash differs from the one in this instance."""
    if User.objects.filter(pk=user.pk).exclude(password=user.password).exists():
        revoke_token(user)
