"""The base class of the domain's errors, and the API's exception handler."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError
from django.http import UnreadablePostError
from rest_framework import status
from rest_framework.exceptions import NotAuthenticated, ParseError, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_framework_handler

from eventmanagement.refusals import Refusal, TooManyAttempts


def refusal_body(refusal: Refusal) -> dict[str, Any]:
    """The body of the response to a refusal."""
    return {"detail": str(refusal), "code": refusal.code, **refusal.data}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Respond as REST framework does, and also to what it doesn't know.

    - A refusal of the domain is 400, with its code.
    - Too many attempts are 429, with a code and Retry-After.
    - A body that did not arrive is 400.
    - A request whose account was deleted meanwhile is 401, as the next one will be. It is noticed when
      a row refers to a user that is gone.
    """
    if isinstance(error, TooManyAttempts):
        response = rest_framework_handler(Throttled(error.wait), context)
        response.data["code"] = error.code  # type: ignore[union-attr]  # Not None for this error.
        return response
    if isinstance(error, Refusal):
        return Response(refusal_body(error), status.HTTP_400_BAD_REQUEST)
    if isinstance(error, IntegrityError) and _is_account_gone(context["request"]):
        error = NotAuthenticated()
    elif isinstance(error, UnreadablePostError):
        error = ParseError("The request body could not be read.")
    response = rest_framework_handler(error, context)
    if isinstance(error, NotAuthenticated):
        response["WWW-Authenticate"] = "Token"  # type: ignore[index]  # Not None for this error.
    return response


def _is_account_gone(request: Request) -> bool:
    user = request.user
    return user.is_authenticated and not get_user_model().objects.filter(pk=user.pk).exists()
