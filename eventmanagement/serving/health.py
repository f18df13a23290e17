"""The views that belong to no app."""

from django.db import connection
from django.http import HttpRequest, HttpResponseNotFound, JsonResponse
from django.views.decorators.csrf import csrf_exempt


def healthz(request: HttpRequest) -> JsonResponse:
    """Say that the process answers; the database is not asked."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Say that the database answers too. Where it does not, the middleware says 503."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


@csrf_exempt
def unknown_path(request: HttpRequest, path: str) -> HttpResponseNotFound:
    """Refuse what is not routed: without a redirect to a slash, which would lose a body, and without a token."""
    return HttpResponseNotFound()
