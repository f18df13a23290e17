"""Who a request speaks for."""

import re

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from rest_framework import authentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from eventmanagement.database.errors import Unavailable
from eventmanagement.database.queries import PreparedQuery

User = get_user_model()

# What Token.generate_key makes: twenty random bytes in hexadecimal.
KEY_LENGTH = 40
KEY = re.compile("[0-9a-f]+")
# Characters: the keyword, the key, and room for more than one space between them.
LONGEST_HEADER = 100
# How often a login compares the hash that it checked with the stored one. Two logins that upgrade the hash
# at once need two tries.
MOST_TRIES = 3
# Loads what every request needs of its user; Django reads the rest when it is asked for.
USER_BY_TOKEN = PreparedQuery(
    lambda key: User.objects.filter(auth_token__key=key), fields=["id", "username", "is_active"], key="key"
)


class TokenAuthentication(authentication.TokenAuthentication):
    """REST framework's, which asks the database only about what can be a key."""

    def authenticate(self, request: HttpRequest | Request) -> tuple[AbstractUser, Token] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if len(header) <= LONGEST_HEADER:
            return super().authenticate(request)
        # It carries no key of ours. As with a short one, another scheme is not refused but ignored.
        if header[: len(self.keyword) + 1].strip().lower() == self.keyword.lower():
            raise AuthenticationFailed("Invalid token.")
        return None

    def authenticate_credentials(self, key: str) -> tuple[AbstractUser, Token]:
        user = len(key) == KEY_LENGTH and KEY.fullmatch(key) and USER_BY_TOKEN.first(key=key)
        if not user:
            raise AuthenticationFailed("Invalid token.")
        if not user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        return user, Token(key=key, user=user)


def get_or_create_token(user: AbstractUser, password: str) -> Token | None:
    """Give the token of a user whose password has just been checked; create it if there is none.

    The check took its time. None if since then the password was changed, or the user was deactivated or
    deleted. The user's row is locked meanwhile, so that all of these wait, and then find the token that they
    revoke. Raises Unavailable if the hash is another one each time that it is compared.
    """
    checked = user.password
    for _ in range(MOST_TRIES):
        try:
            with transaction.atomic():
                current = User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).first()
                if current is None:
                    return None
                if current.password == checked:
                    return Token.objects.get_or_create(user=current)[0]
        except IntegrityError:
            # Somebody who does not lock the user created a token, and a logout deleted it.
            continue
        # Another login may have upgraded the hash. To hash takes too long for a lock.
        if not check_password(password, current.password):
            return None
        checked = current.password
    raise Unavailable("the password or the token of this user changes all the time")


def revoke_token(user: AbstractUser) -> None:
    """Delete the user's token, if there is one: no request is authenticated by it any more."""
    Token.objects.filter(user=user).delete()


def revoke_token_of_other_password(user: AbstractUser) -> None:
    """Delete the user's token if the stored hash of the password is not the one that this instance has."""
    Token.objects.filter(user=user).exclude(user__password=user.password).delete()
