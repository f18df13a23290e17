"""Who a request speaks for."""

import re

from django.contrib.auth.models import AbstractUser
from rest_framework import authentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed

# What Token.generate_key makes: twenty random bytes in hexadecimal.
KEY = re.compile("[0-9a-f]{40}")


class TokenAuthentication(authentication.TokenAuthentication):
    """REST framework's, which asks the database only about what can be a key."""

    def authenticate_credentials(self, key: str) -> tuple[AbstractUser, Token]:
        if not KEY.fullmatch(key):
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(key)
