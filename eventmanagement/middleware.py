"""What holds for every request under /api/, whoever answers it."""

import logging
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from rest_framework.response import Response

from eventmanagement.database import is_unavailable

logger = logging.getLogger(__name__)

# Seconds: a restart of PostgreSQL or the lock that was waited for is usually over by then.
RETRY_AFTER = 2

# Bytes. A body that is larger still is cut off.
LARGEST_FORGOTTEN = 32 * 2**20
CHUNK = 2**16

# Python's phrases for these statuses differ from release to release.
SENTENCES = {
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


def of_the_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


class ApiSpeaksJson:
    """Keep every answer under /api/ JSON, and every body within what the server will read.

    Django answers in HTML where a request never reaches a view of REST framework: a wrong Host,
    an unknown path, a fault. Those keep their status and get a JSON body; the fault is logged by
    Django as ever. A database that is away or busy is 503 on every path.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not of_the_api(request):
            return self.get_response(request)
        if "HTTP_TRANSFER_ENCODING" in request.META:
            # Django reads no further than the Content-Length, here nothing at all.
            return refusal(HTTPStatus.LENGTH_REQUIRED)
        # REST framework's JSON parser reads on past Django's limit.
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            self._let_it_be_sent(request, length)
            return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        response = self.get_response(request)
        # The pages of the browsable API, in development, are answers of REST framework's too.
        speaks_for_itself = isinstance(response, (JsonResponse, Response))
        if response.status_code >= HTTPStatus.BAD_REQUEST and not speaks_for_itself:
            as_json = refusal(response.status_code)
            response.content = as_json.content
            for name, value in as_json.items():
                response[name] = value
        return response

    def _let_it_be_sent(self, request: HttpRequest, length: int) -> None:
        """Read a body to its end and forget it: many clients don't listen before they have sent theirs."""
        if length <= LARGEST_FORGOTTEN:
            with suppress(UnreadablePostError):
                while request.read(CHUNK):
                    pass

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer 503 where the database can't be had; leave any other fault to Django."""
        if not is_unavailable(error):
            return None
        logger.warning("%s %s: the database is unavailable: %s", request.method, request.path, error)
        response = refusal(HTTPStatus.SERVICE_UNAVAILABLE, code="unavailable")
        response["Retry-After"] = str(RETRY_AFTER)
        return response
