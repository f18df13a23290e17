"""The URLs of the project.

Each API endpoint has a long path and a short path. Both come from the original design, which listed two tables
of paths. The OpenAPI document only contains the long paths.
"""

from collections.abc import Callable

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView, View
from rest_framework.permissions import AllowAny

from eventmanagement.serving.health import healthz, readyz, unknown_path
from reservation.views import AttendeeListView


def documentation(view_path: str) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return a public view that imports ``view_class`` on the first request, because the import is slow."""
    options = {"authentication_classes": [], "permission_classes": [AllowAny], "http_method_names": ["get", "head"]}

    @csrf_exempt
    def view(request: HttpRequest) -> HttpResponseBase:
        view_class: type[View] = import_string(view_path)
        return view_class.as_view(**options)(request)

    return view


urlpatterns = [
    path("api/authentication/", include("authentication.urls")),
    path("api/event/", include("event.urls")),
    path("api/event/events/<int:event_id>/total-reservations/", AttendeeListView.as_view()),
    path("api/reservation/", include("reservation.urls")),
    path("api/", include("authentication.urls")),
    path("api/", include("event.urls")),
    path("api/events/<int:event_id>/reservations/", AttendeeListView.as_view()),
    path("api/", include("reservation.urls")),
    path("api/<path:path>", unknown_path),
    path("admin/", admin.site.urls),
    path("docs/swagger/", documentation("drf_spectacular.views.SpectacularSwaggerSplitView"), name="swagger"),
    path("schema/", documentation("eventmanagement.api.documentation.SchemaView"), name="schema"),
    path("healthz", healthz),
    path("readyz", readyz),
    path("", RedirectView.as_view(pattern_name="swagger")),
]
