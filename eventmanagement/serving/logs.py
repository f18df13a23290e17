"""Request logging: one line per request, and the request id in every line that is logged during the request."""

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path
from django.utils.functional import SimpleLazyObject

logger = logging.getLogger(__name__)

# The accepted format of a client's X-Request-ID: long enough for a UUID or trace id, too short to flood the log,
# and without characters that could forge a log line.
CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# In characters, after percent-encoding.
MAX_LOGGED_PATH_LENGTH = 200

# The part of a path after calendar/ is a secret (reservation/calendar.py). A misspelled address contains it too.
SECRET = re.compile(r"(/calendar/)[^\s\"']+", re.IGNORECASE)

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIdFilter(logging.Filter):
    """Adds the id of the current request to every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


def without_secrets(text: str) -> str:
    """Return the text with "(key)" for each secret part of a path."""
    return SECRET.sub(r"\1(key)", text)


class SecretPathFilter(logging.Filter):
    """Removes the secret parts of paths from a log record, and with them the request, which contains the path.

    As the filter of a logger, it works for all handlers, for example one that sends reports to another service.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if SECRET.search(message):
            record.msg, record.args = without_secrets(message), ()
            record.__dict__.pop("request", None)
        return True


class PlainFormatter(logging.Formatter):
    """Formats log records for a terminal, so that no text from a client can forge a line or control the terminal.

    Characters that are not printable, such as line breaks and ANSI escapes, are escaped. The lines of a traceback are
    indented, so only the first line of a record starts in the first column.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (overrides the method of Formatter)
        return _escape(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(map(_escape, super().format(record).split("\n")))


def _escape(text: str) -> str:
    """Escape the characters that are not printable, as in a Python string literal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class RequestLogMiddleware:
    """Logs every request once, after its response, and sets the response header ``X-Request-ID``.

    The id is the client's ``X-Request-ID`` if its format is valid, or else a new one. Headers, bodies and query
    strings are never logged, because they can contain tokens and passwords.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        begun = time.perf_counter()
        asked = request.META.get("HTTP_X_REQUEST_ID", "")
        identity = asked if CLIENT_REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex
        with _request_id_context(identity):
            response = self.get_response(request)
            response["X-Request-ID"] = identity
            milliseconds = round((time.perf_counter() - begun) * 1000, 1)
            match = request.resolver_match
            logger.info(
                "%s %s %s in %s ms",
                request.method,
                path_for_log(request),
                response.status_code,
                milliseconds,
                extra={
                    "method": request.method,
                    "route": match and match.route,
                    "status": response.status_code,
                    "milliseconds": milliseconds,
                    "user": _user_id(request),
                },
            )
            return response


def path_for_log(request: HttpRequest) -> str:
    """Return the path without secrets, percent-encoded so that it can't forge a log line, and truncated if too long."""
    path = without_secrets(escape_uri_path(request.path))
    return path if len(path) <= MAX_LOGGED_PATH_LENGTH else f"{path[:MAX_LOGGED_PATH_LENGTH]}..."


def log_worker_response(status: int, reason: BaseException) -> str:
    """Log a response that the worker sent without calling Django. Returns a new request id.

    Only the class name of the reason is logged, because its message may contain a header.
    """
    identity = uuid.uuid4().hex
    with _request_id_context(identity):
        logger.info("%s %s", status, type(reason).__name__, extra={"status": int(status)})
    return identity


@contextmanager
def _request_id_context(identity: str) -> Iterator[None]:
    """Set the request id of all lines that are logged within the block."""
    token = request_id.set(identity)
    try:
        yield
    finally:
        request_id.reset(token)


def _user_id(request: HttpRequest) -> int | None:
    user = getattr(request, "user", None)
    if isinstance(user, SimpleLazyObject) and not hasattr(request, "_cached_user"):
        # The lazy user has not been loaded. Don't query the database only for the log.
        return None
    return user and user.pk
