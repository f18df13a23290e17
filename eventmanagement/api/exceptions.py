"""The API's exception handler, and the exception for 412, which REST framework lacks."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError
from django.http import UnreadablePostError
from django.http.request import RawPostDataException
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, NotAuthenticated, ParseError, Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_framework_handler

from eventmanagement.refusals import Refusal, TooManyAttempts


class PreconditionFailed(APIException):
    """A condition of a write, in ``If-Match`` or ``If-None-Match``, does not hold."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"
    default_detail = "The current version does not meet the condition in the If-Match or If-None-Match header."


def refusal_body(refusal: Refusal) -> dict[str, Any]:
    """Return the response body for a refusal."""
    return {"detail": str(refusal), "code": refusal.code, **refusal.data}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Extend REST framework's exception handler.

    - A Refusal is 400, with its code.
    - TooManyAttempts is 429, with Retry-After.
    - Every other error with a message gets REST framework's code. Field errors have no code.
    - A request body that could not be read is 400.
    - The message of a 401 says what is wrong with the Authorization header, if there is one.
    - An IntegrityError because the request's user has been deleted is 401, like the user's next request.
    """
    if isinstance(error, TooManyAttempts):
        error = Throttled(error.wait)
    elif isinstance(error, Refusal):
        return Response(refusal_body(error), status.HTTP_400_BAD_REQUEST)
    elif isinstance(error, IntegrityError) and _is_account_gone(context["request"]):
        error = NotAuthenticated()
    elif isinstance(error, NotAuthenticated):
        error.detail = _what_is_wrong_with_header(context["request"]) or error.detail
    elif isinstance(error, UnreadablePostError | RawPostDataException):
        # Django raises RawPostDataException at a second attempt to read the body.
        error = ParseError("The request body could not be read.")
    response = rest_framework_handler(error, context)
    if response is None:
        return None
    if isinstance(response.data, dict) and isinstance(detail := response.data.get("detail"), ErrorDetail):
        response.data["code"] = detail.code
    if isinstance(error, NotAuthenticated):
        response["WWW-Authenticate"] = "Token"
    return response


def _is_account_gone(request: Request) -> bool:
    user = request.user
    return user.is_authenticated and not get_user_model().objects.filter(pk=user.pk).exists()


def _what_is_wrong_with_header(request: Request) -> ErrorDetail | None:
    """Return TokenAuthentication's message about an Authorization header that it ignored, or None."""
    for authenticator in request.authenticators or ():
        explain: Callable[[Request], ErrorDetail | None] | None = getattr(authenticator, "explain", None)
        if explain:
            return explain(request)
    return None
