"""The OpenAPI descriptions of sign-up, login, logout and the user's own account."""

from typing import Any

from drf_spectacular.authentication import TokenScheme

from authentication.exceptions import OrganizesEvents
from authentication.serializers import AccountSerializer, CredentialsSerializer, TokenSerializer
from authentication.views import (
    WRONG_PASSWORD,
    DeleteAccountView,
    LoginView,
    LogoutView,
    MeView,
    PasswordView,
    SignupView,
)
from eventmanagement.api.openapi import NEEDS_TOKEN, THROTTLED, bad_request, describe, operation

CREDENTIALS = {"username": "alice", "password": "correct-horse-battery"}
ACCOUNT = {"id": 1, "username": "alice", "email": "alice@example.org"}
TOKEN = "5e8f0c3d1b7a49e2864fd05c9ab37e16d2c480f5"  # noqa: S105 (an example)


class TokenAuthenticationScheme(TokenScheme):
    target_class = "authentication.tokens.TokenAuthentication"
    priority = 0

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        definition: dict[str, str] = super().get_security_definition(auto_schema)
        return definition | {
            "description": "Log in, then enter the word `Token`, a space and the token from the response. It is sent "
            "in the `Authorization` header. `Bearer` instead of `Token` works too. The token becomes invalid when you "
            "log out or change your password."
        }


describe(
    SignupView,
    post=operation(
        "signup",
        "Create an account",
        description="Choose a username and a password; an email address is optional. Then log in with them.",
        tags=["Authentication"],
        auth=[],
        sends=CREDENTIALS | {"email": "alice@example.org"},
        returns=ACCOUNT,
        responses={201: AccountSerializer}
        | bad_request(fields={"username": ["A user with that username already exists."]})
        | THROTTLED,
    ),
)

describe(
    LoginView,
    post=operation(
        "login",
        "Log in",
        description="Send the token with every request that needs one, in the header `Authorization: Token <token>`. "
        "Every login returns the same token until you log out or change your password.",
        tags=["Authentication"],
        auth=[],
        request=CredentialsSerializer,
        sends=CREDENTIALS,
        returns={"token": TOKEN},
        responses={200: TokenSerializer}
        | bad_request(fields={"non_field_errors": ["The username or the password is wrong."]})
        | THROTTLED,
    ),
)

describe(
    LogoutView,
    post=operation(
        "logout",
        "Log out",
        description="Deletes your token, so all clients that use it are logged out. The next login creates a new one.",
        tags=["Authentication"],
        request=None,
        responses={204: None} | NEEDS_TOKEN,
    ),
)

describe(
    MeView,
    get=operation(
        "account_retrieve",
        "Get your account",
        description="Returns your id, username and email address. `organizer` in an event is such an id.",
        tags=["Authentication"],
        returns=ACCOUNT,
        responses={200: AccountSerializer} | NEEDS_TOKEN,
    ),
    patch=operation(
        "account_update",
        "Change your email address",
        description="Only the email address can be changed. An empty address removes it.",
        tags=["Authentication"],
        sends={"email": "alice@example.org"},
        returns=ACCOUNT,
        responses={200: AccountSerializer}
        | bad_request(fields={"email": ["Enter a valid email address."]})
        | NEEDS_TOKEN,
    ),
)

describe(
    PasswordView,
    post=operation(
        "password_change",
        "Change your password",
        description="Returns a new token. The old token and all sessions of the account become invalid. A wrong old "
        "password counts as a failed login.",
        tags=["Authentication"],
        sends={"old_password": CREDENTIALS["password"], "new_password": "staple-and-battery"},
        returns={"token": TOKEN},
        responses={200: TokenSerializer}
        | bad_request(fields={"old_password": [WRONG_PASSWORD]})
        | NEEDS_TOKEN
        | THROTTLED,
    ),
)

describe(
    DeleteAccountView,
    post=operation(
        "account_delete",
        "Delete your account",
        description="Deletes your account, your token, your reservations and your places on waiting lists. Your seats "
        "go to the people who wait for them, or become free. You can't delete your account while there are events that "
        "you organize, including past ones. A wrong password counts as a failed login.",
        tags=["Authentication"],
        sends={"password": CREDENTIALS["password"]},
        responses={204: None}
        | bad_request("AccountDeletionRefusal", OrganizesEvents(), fields={"password": [WRONG_PASSWORD]})
        | NEEDS_TOKEN
        | THROTTLED,
    ),
)
