"""Who a request speaks for."""

import re

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError
from django.db.models import CharField
from django.http import HttpRequest
from rest_framework import authentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from eventmanagement.queries import CompiledQuery, Parameter

# What Token.generate_key makes: twenty random bytes in hexadecimal.
KEY_LENGTH = 40
KEY = re.compile("[0-9a-f]+")
# Characters: the keyword, the key, and room for more than one space between them.
LONGEST_HEADER = 100
# What a request needs to know of its user; the rest is read if it is asked for.
USER_OF_TOKEN = CompiledQuery(
    lambda: get_user_model().objects.filter(auth_token__key=Parameter("key", CharField())).only("username", "is_active")
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
        user = len(key) == KEY_LENGTH and KEY.fullmatch(key) and USER_OF_TOKEN.first(key=key)
        if not user:
            raise AuthenticationFailed("Invalid token.")
        if not user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        return user, Token(key=key, user=user)


def token_of(user: AbstractUser) -> Token | None:
    """Give the user's token, made if there is none yet; None if the user was deleted meanwhile."""
    while True:
        try:
            return Token.objects.get_or_create(user=user)[0]
        except IntegrityError:
            # Either nobody is there to have it, or another login made it and a logout took it away.
            if not get_user_model().objects.filter(pk=user.pk).exists():
                return None
