"""Health checks, and the view for unknown API paths."""

import logging
import threading
from http import HTTPStatus

from django.http import HttpRequest, JsonResponse
from django.urls import resolve
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from eventmanagement.database.migrations import missing_migrations
from eventmanagement.database.readiness import readiness_connection
from eventmanagement.serving.drain import is_draining
from eventmanagement.serving.middleware import error_response, unavailable_response

logger = logging.getLogger(__name__)

# Set once all migrations are applied. From then on this process does not check them again.
migrations_are_applied = threading.Event()


@csrf_exempt
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Return 200 if the process responds. Does not query the database."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Return 200 if the database responds and has all migrations, and the service is not about to stop; otherwise 503.

    If the database does not respond, the middleware returns the 503.
    """
    if is_draining():
        return unavailable_response(detail="The server is about to stop.")
    with readiness_connection().cursor() as cursor:
        cursor.execute("SELECT 1")
    if not migrations_are_applied.is_set():
        if missing := missing_migrations():
            logger.warning("Missing migrations: %d, such as %s", len(missing), ".".join(missing[0]))
            return unavailable_response(detail="Migrations are missing.")
        migrations_are_applied.set()
    return JsonResponse({"status": "ok"})


@csrf_exempt
def unknown_path(request: HttpRequest, path: str) -> JsonResponse:
    """Return 404 for unknown paths, without authentication. If only the last slash is missing, the message says so.

    Django would redirect to the path with the slash. That would lose the request body.
    """
    with_slash = f"{request.path_info}/"
    if resolve(with_slash).func is unknown_path:
        return error_response(HTTPStatus.NOT_FOUND)
    return error_response(HTTPStatus.NOT_FOUND, detail=f"Not found. The path must end with a slash: {request.path}/")
