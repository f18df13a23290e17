"""The URLs of the project.

Each API endpoint has a long path and a short path. Both come from the original design, which listed two tables
of paths. The OpenAPI document only contains the long paths. ``reverse("login")`` returns the long path and
``reverse("short:login")`` the short one.
"""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from eventmanagement.api.documentation import SchemaView
from eventmanagement.serving.health import healthz, readyz, unknown_path
from reservation.views import AttendeeListView, AttendeeView, CheckInUndoView, CheckInView, EventWaitlistView

# The documentation is public, even if reading events needs a token.
DOCUMENTATION = {"authentication_classes": [], "permission_classes": [AllowAny], "http_method_names": ["get", "head"]}


def paths_of_event(attendees: str) -> list[URLPattern]:
    """Return the paths below an event that lead to views of the reservation app."""
    return [
        path(f"{attendees}/", AttendeeListView.as_view(), name="event-reservations"),
        path(f"{attendees}/<int:reservation_id>/", AttendeeView.as_view(), name="event-reservation"),
        path("check-in/", CheckInView.as_view(), name="event-check-in"),
        path("check-in/<int:reservation_id>/", CheckInUndoView.as_view(), name="event-check-in-undo"),
        path("waitlist/", EventWaitlistView.as_view(), name="event-waitlist"),
    ]


short_paths: list[URLPattern | URLResolver] = [
    path("", include("authentication.urls")),
    path("", include("event.urls")),
    path("events/<int:event_id>/", include(paths_of_event("reservations"))),
    path("", include("reservation.urls")),
]

urlpatterns = [
    path("api/authentication/", include("authentication.urls")),
    path("api/event/", include("event.urls")),
    path("api/event/events/<int:event_id>/", include(paths_of_event("total-reservations"))),
    path("api/reservation/", include("reservation.urls")),
    path("api/", include((short_paths, "short"))),
    path("api/<path:path>", unknown_path),
    path("admin/", admin.site.urls),
    path("docs/swagger/", SpectacularSwaggerSplitView.as_view(**DOCUMENTATION), name="swagger"),
    path("schema/", SchemaView.as_view(**DOCUMENTATION), name="schema"),
    path("healthz", healthz),
    path("readyz", readyz),
    path("", RedirectView.as_view(pattern_name="swagger")),
]

handler400 = "eventmanagement.serving.error_pages.bad_request"
handler403 = "eventmanagement.serving.error_pages.permission_denied"
handler404 = "eventmanagement.serving.error_pages.page_not_found"
handler500 = "eventmanagement.serving.error_pages.server_error"
