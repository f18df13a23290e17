"""Health checks, and the view for unknown API paths."""

from django.db import connection
from django.http import HttpRequest, HttpResponseNotFound, JsonResponse
from django.views.decorators.csrf import csrf_exempt


def healthz(request: HttpRequest) -> JsonResponse:
    """Return 200 if the process responds. Does not query the database."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Return 200 if the database responds. Otherwise the middleware returns 503."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


@csrf_exempt
def unknown_path(request: HttpRequest, path: str) -> HttpResponseNotFound:
    """Return 404 for unknown paths, without authentication. Also prevents redirects that append a slash.

    Such a redirect would lose the request body.
    """
    return HttpResponseNotFound()
