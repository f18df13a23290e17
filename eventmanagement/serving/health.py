"""Health checks, and the view for unknown API paths."""

import logging
import threading
from functools import cache
from http import HTTPStatus

from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.urls import resolve
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from eventmanagement.database.readiness import readiness_connection
from eventmanagement.serving.drain import is_draining
from eventmanagement.serving.middleware import error_response, unavailable_response

logger = logging.getLogger(__name__)

# An app and the name of one of its migrations.
Migration = tuple[str, str]

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


def missing_migrations() -> list[Migration]:
    """Return the migrations of the code that the database lacks.

    Applied migrations that the code does not know are ignored: a newer release applied them. A squashed migration
    counts as applied if all migrations that it replaces are.
    """
    applied = MigrationRecorder(readiness_connection()).applied_migrations()
    return [
        migration
        for migration, replaced in known_migrations().items()
        if migration not in applied and not (replaced and applied.keys() >= replaced)
    ]


@cache
def known_migrations() -> dict[Migration, set[Migration]]:
    """Return the migrations of the code, each with those that it replaces. Reads the files once per process."""
    known = MigrationLoader(None).disk_migrations
    return {name: set(migration.replaces) for name, migration in known.items()}


@csrf_exempt
def unknown_path(request: HttpRequest, path: str) -> JsonResponse:
    """Return 404 for unknown paths, without authentication. If only the last slash is missing, the message says so.

    Django would redirect to the path with the slash. That would lose the request body.
    """
    with_slash = f"{request.path_info}/"
    if resolve(with_slash).func is unknown_path:
        return error_response(HTTPStatus.NOT_FOUND)
    return error_response(HTTPStatus.NOT_FOUND, detail=f"Not found. The path must end with a slash: {request.path}/")
