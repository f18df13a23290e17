"""Where everything is.

The API's routes stand twice: under the documented long paths, and under short ones for clients
that were written to the other table of the original design. The OpenAPI document names the long.
"""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from eventmanagement.views import healthz, readyz, unknown_path
from reservation.views import AttendeeListView

admin.site.site_header = admin.site.site_title = "Event management"

public = {"authentication_classes": [], "permission_classes": [AllowAny], "http_method_names": ["get", "head"]}

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
    path("docs/swagger/", SpectacularSwaggerSplitView.as_view(**public), name="swagger"),
    path("schema/", SpectacularAPIView.as_view(**public), name="schema"),
    path("healthz", healthz),
    path("readyz", readyz),
    path("", RedirectView.as_view(pattern_name="swagger")),
]
