"""Logs one can follow: a line for each request, and the request's id in every line that it caused."""

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

# What a client may name its request: enough for a UUID or a trace's id, too little to flood a log
# and nothing that could forge a line of it.
CLIENTS_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Characters of a path, percent-encoded, in a line of the log.
LONGEST_LOGGED_PATH = 200

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIdFilter(logging.Filter):
    """Add the id of the request that is being served to every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class RequestLogMiddleware:
    """Log every request once, when it is answered, and answer with its ``X-Request-ID``.

    The id is the client's own where it names a decent one. Neither headers nor bodies nor query
    strings are logged: that is where tokens and passwords are.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        begun = time.perf_counter()
        asked = request.META.get("HTTP_X_REQUEST_ID", "")
        identity = asked if CLIENTS_ID.fullmatch(asked) else uuid.uuid4().hex
        with _identified(identity):
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
    """Return the path percent-encoded, so that no character of it can forge a line, and cut off where it is long."""
    path = escape_uri_path(request.path[: LONGEST_LOGGED_PATH + 1])
    return path if len(path) <= LONGEST_LOGGED_PATH else f"{path[:LONGEST_LOGGED_PATH]}..."


def log_refusal(status: int, reason: BaseException) -> str:
    """Log a request that was not HTTP enough to become one; give it an id and say which.

    The reason is logged by its name: its text may quote a header.
    """
    identity = uuid.uuid4().hex
    with _identified(identity):
        logger.info("%s %s", status, type(reason).__name__, extra={"status": int(status)})
    return identity


@contextmanager
def _identified(identity: str) -> Iterator[None]:
    """Let every line that is logged meanwhile carry this id."""
    token = request_id.set(identity)
    try:
        yield
    finally:
        request_id.reset(token)


def _user_id(request: HttpRequest) -> int | None:
    user = getattr(request, "user", None)
    if isinstance(user, SimpleLazyObject) and not hasattr(request, "_cached_user"):
        # Nobody asked who it is; the log does not begin to.
        return None
    return user and user.pk
