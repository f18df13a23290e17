"""Health checks, and the view for unknown API paths."""

from http import HTTPStatus

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import resolve
from django.views.decorators.csrf import csrf_exempt

from eventmanagement.serving.middleware import error_response


def healthz(request: HttpRequest) -> JsonResponse:
    """Return 200 if the process responds. Does not query the database."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Return 200 if the database responds. Otherwise the middleware returns 503."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
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
