"""How the API refuses."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError
from django.http import UnreadablePostError
from rest_framework import status
from rest_framework.exceptions import APIException, NotAuthenticated, ParseError, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_framework_handler


class Refusal(APIException):
    """A rule of the domain says no: a sentence for people and a code for programs.

    A subclass gives the rule's ``default_detail`` and ``default_code``; what is passed by name
    stands in the body beside them.
    """

    status_code = status.HTTP_400_BAD_REQUEST

    def __init__(self, detail: str | None = None, **more: Any) -> None:
        self.sentence = detail or self.default_detail
        self.detail = {"detail": self.sentence, "code": self.default_code, **more}

    def __str__(self) -> str:
        return self.sentence


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer as REST framework does, with three things more.

    A body that did not arrive is its client's mistake. A throttled client is told so by a code.
    And a request whose account was deleted while it was under way, seen when its row found no
    user to belong to, is as unauthenticated as the next one.
    """
    if isinstance(error, IntegrityError) and _account_is_gone(context["request"]):
        error = NotAuthenticated()
    elif isinstance(error, UnreadablePostError):
        error = ParseError("The body did not arrive.")
    response = rest_framework_handler(error, context)
    if isinstance(error, Throttled):
        response.data["code"] = error.default_code
    elif isinstance(error, NotAuthenticated):
        response["WWW-Authenticate"] = "Token"
    return response


def _account_is_gone(request: Request) -> bool:
    user = request.user
    return user.is_authenticated and not get_user_model().objects.filter(pk=user.pk).exists()
