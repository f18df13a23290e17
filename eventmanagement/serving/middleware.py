"""What holds for every request, and for every response under /api/, whatever makes it."""

import logging
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.response import Response

from eventmanagement.database.errors import is_unavailable
from eventmanagement.serving.logs import path_for_log

logger = logging.getLogger(__name__)

# Seconds: a restart of PostgreSQL or the lock that was waited for is usually over by then.
RETRY_AFTER = 2

# Characters. Every route is far shorter, and the admin's patterns take quadratic time to find that out.
LONGEST_PATH = 1024
# Bytes, far beyond the largest event: a description of 10,000 characters takes 40 kB in UTF-8, and 120 kB where each
# of them is percent-encoded. A byte of a form costs more to parse than one of JSON, and of multipart the most.
LARGEST_FORM = 128 * 2**10
LARGEST_MULTIPART = 64 * 2**10

# Python's phrases for these statuses differ from release to release.
SENTENCES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "Bad request.",
    HTTPStatus.FORBIDDEN: "Forbidden.",
    HTTPStatus.NOT_FOUND: "Not found.",
    HTTPStatus.LENGTH_REQUIRED: "Send the body with its Content-Length.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The address is too long.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The headers are too large.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here; it was logged.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database can't be reached in time; try again.",
}


def sentence(status: int) -> str:
    """Say in a sentence what a status means here."""
    return SENTENCES.get(status) or f"{HTTPStatus(status).phrase}."


def refusal(status: int, **more: str) -> JsonResponse:
    """Make an error answer in the shape that REST framework gives its own."""
    response = JsonResponse({"detail": sentence(status), **more}, status=status)
    response["Content-Length"] = str(len(response.content))
    return response


def is_api_request(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


class RequestLimitMiddleware:
    """Answer 404 to a path that is too long and 413 to a body, on every path and before anything parses them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if len(request.path_info) > LONGEST_PATH:
            return refusal(HTTPStatus.NOT_FOUND)
        if "HTTP_TRANSFER_ENCODING" in request.META:
            # Django reads no further than the Content-Length, here nothing at all.
            return refusal(HTTPStatus.LENGTH_REQUIRED)
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > largest_body(request.content_type or ""):
            return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self.get_response(request)


def largest_body(content_type: str) -> int:
    """Return the number of bytes that a body of this media type may have."""
    if content_type.startswith("multipart/"):
        return LARGEST_MULTIPART
    if content_type.endswith("/x-www-form-urlencoded"):
        return LARGEST_FORM
    return settings.DATA_UPLOAD_MAX_MEMORY_SIZE


class JsonErrorMiddleware:
    """Keep every answer under /api/ JSON.

    Django answers in HTML where a request never reaches a view of REST framework: a wrong Host,
    an unknown path, a fault. Those keep their status and get a JSON body; the fault is logged by
    Django as ever. A database that is away or busy is 503 on every path.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_api_request(request):
            return self.get_response(request)
        response = self.get_response(request)
        # The pages of the browsable API, in development, are answers of REST framework's too.
        speaks_for_itself = isinstance(response, (JsonResponse, Response))
        if response.status_code >= HTTPStatus.BAD_REQUEST and not speaks_for_itself:
            as_json = refusal(response.status_code)
            response.content = as_json.content
            for name, value in as_json.items():
                response[name] = value
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer 503 where the database can't be had; leave any other fault to Django."""
        if not is_unavailable(error):
            return None
        logger.warning("%s %s: the database is unavailable: %s", request.method, path_for_log(request), error)
        response = refusal(HTTPStatus.SERVICE_UNAVAILABLE, code="unavailable")
        response["Retry-After"] = str(RETRY_AFTER)
        return response
