"""Who a request speaks for."""

import re

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError
from django.db.models import CharField
from rest_framework import authentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed

from eventmanagement.queries import CompiledQuery, Parameter

# What Token.generate_key makes: twenty random bytes in hexadecimal.
KEY = re.compile("[0-9a-f]{40}")
# What a request needs to know of its user; the rest is read if it is asked for.
USER_OF_TOKEN = CompiledQuery(
    lambda: get_user_model().objects.filter(auth_token__key=Parameter("key", CharField())).only("username", "is_active")
)


class TokenAuthentication(authentication.TokenAuthentication):
    """REST framework's, which asks the database only about what can be a key."""

    def authenticate_credentials(self, key: str) -> tuple[AbstractUser, Token]:
        user = KEY.fullmatch(key) and USER_OF_TOKEN.first(key=key)
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
