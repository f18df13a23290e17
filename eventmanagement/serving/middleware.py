"""Middleware that limits requests, makes all errors under /api/ JSON, and sets the Content-Security-Policy."""

import logging
from collections.abc import Callable
from http import HTTPStatus

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter
from rest_framework.response import Response

from eventmanagement.database.errors import is_unavailable
from eventmanagement.serving.logs import path_for_log

logger = logging.getLogger(__name__)

# In seconds. A restart of PostgreSQL or a lock is usually over by then.
RETRY_AFTER = 2

# In characters. All routes are far shorter, and the admin's URL patterns need quadratic time to reject a long path.
MAX_PATH_LENGTH = 1024
# In bytes. Each is enough for the largest event: a description of 10,000 characters takes up to 40 kB in UTF-8, and up
# to 120 kB percent-encoded. Forms have lower limits than JSON because they cost more to parse per byte, and multipart
# costs the most.
MAX_FORM_SIZE = 128 * 2**10
MAX_MULTIPART_SIZE = 64 * 2**10

# Load balancers request these paths by IP address, so the Host header is not checked.
HEALTH_PATHS = {"/healthz", "/readyz"}

# The Content-Security-Policy of JSON, which loads nothing.
JSON_POLICY = "default-src 'none'; frame-ancestors 'none'"

# The code and the message for each status, with REST framework's code if it has one. The messages are not Python's
# phrases for the statuses, because some of these differ between versions.
ERRORS: dict[int, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("bad_request", "Bad request."),
    HTTPStatus.FORBIDDEN: ("permission_denied", "Forbidden."),
    HTTPStatus.NOT_FOUND: ("not_found", "Not found."),
    HTTPStatus.REQUEST_TIMEOUT: ("request_timeout", "The request did not arrive in time."),
    HTTPStatus.LENGTH_REQUIRED: ("length_required", "A request body needs a Content-Length header."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("too_large", "The request body is too large."),
    HTTPStatus.REQUEST_URI_TOO_LONG: ("url_too_long", "The URL is too long."),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: ("headers_too_large", "The headers are too large."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("error", "Internal server error. It has been logged."),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "unavailable",
        "The server is busy or can't reach its database. Try again later.",
    ),
}
MAX_QUERY_PARAMETERS = 1000
TOO_MANY_PARAMETERS = "The URL has too many query parameters."


def error_body(status: int) -> dict[str, str]:
    """Return the body of an error response: the message and the code for this status."""
    code, detail = ERRORS.get(status) or ("error", f"{HTTPStatus(status).phrase}.")
    return {"detail": detail, "code": code}


def error_response(status: int, **more: str) -> JsonResponse:
    """Return a JSON error response in REST framework's format. ``more`` is added to its body."""
    response = JsonResponse(error_body(status) | more, status=status)
    response["Content-Length"] = str(len(response.content))
    return response


def unavailable_response(**more: str) -> JsonResponse:
    """Return a 503 with the code "unavailable" and a Retry-After header."""
    response = error_response(HTTPStatus.SERVICE_UNAVAILABLE, **more)
    response["Retry-After"] = str(RETRY_AFTER)
    return response


def is_api_request(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


class ContentPolicyMiddleware(CSPMiddleware):
    """CSPMiddleware with a constant policy for JSON. Other responses get the policy that CSPMiddleware builds."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.get("Content-Type") != "application/json":
            return super().process_response(request, response)
        response.headers[HEADER] = JSON_POLICY
        return response


class RequestLimitMiddleware:
    """Limits the size of requests on all paths, before the path, the query string or the body is parsed.

    Returns 404 for a path that is too long, 400 for too many query parameters, 411 for a chunked body and 413 for a
    body that is too large.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if len(request.path_info) > MAX_PATH_LENGTH:
            return error_response(HTTPStatus.NOT_FOUND)
        # Lower than Django's own limit. With DEBUG, Django's error page would raise that limit's exception again.
        if request.META.get("QUERY_STRING", "").count("&") >= MAX_QUERY_PARAMETERS:
            return error_response(HTTPStatus.BAD_REQUEST, detail=TOO_MANY_PARAMETERS)
        if "HTTP_TRANSFER_ENCODING" in request.META:
            # Django reads as many bytes as Content-Length says, so it would ignore a chunked body.
            return error_response(HTTPStatus.LENGTH_REQUIRED)
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > max_body_size(request.content_type or ""):
            return error_response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self.get_response(request)


class HostCheckMiddleware(CommonMiddleware):
    """CommonMiddleware, which also checks the Host header. The health checks skip it and accept any Host header."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in HEALTH_PATHS else super().process_request(request)


def max_body_size(content_type: str) -> int:
    """Return the maximum size in bytes of a body of this media type."""
    if content_type.startswith("multipart/"):
        return MAX_MULTIPART_SIZE
    if content_type.endswith("/x-www-form-urlencoded"):
        return MAX_FORM_SIZE
    return settings.DATA_UPLOAD_MAX_MEMORY_SIZE


class EmptyExceptionReporter(ExceptionReporter):
    """Makes Django's DEBUG error page empty. It is for paths under /api/, where JSON replaces that page.

    Building the page shows the request, which may be invalid, so that it can raise another exception.
    """

    def get_traceback_html(self) -> SafeString:
        return SafeString()

    def get_traceback_text(self) -> SafeString:
        return SafeString()


class JsonErrorMiddleware:
    """Makes every error response under /api/ JSON, and turns an unavailable database into 503 on every path.

    Without it, Django responds in HTML if a request does not reach a REST framework view, for example for a wrong
    Host header or an unknown path, or after an unhandled exception. The status stays the same. Django still logs the
    exception.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_api_request(request):
            return self.get_response(request)
        request.exception_reporter_class = EmptyExceptionReporter  # type: ignore[attr-defined]  # Unknown to the stubs.
        response = self.get_response(request)
        # REST framework's own responses stay as they are, including HTML pages of the browsable API in development.
        is_from_view = isinstance(response, Response) or response.get("Content-Type") == "application/json"
        if response.status_code >= HTTPStatus.BAD_REQUEST and not is_from_view:
            as_json = error_response(response.status_code)
            response.content = as_json.content
            for name, value in as_json.items():
                response[name] = value
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return 503 if the exception means that a resource is unavailable. Leave other exceptions to Django."""
        if not is_unavailable(error):
            return None
        logger.warning("%s %s: unavailable: %s", request.method, path_for_log(request), error)
        return unavailable_response()
