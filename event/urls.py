from django.urls import path
from rest_framework.routers import SimpleRouter

from event.views import EventCalendarView, EventViewSet

router = SimpleRouter(use_regex_path=False)
router.register("events", EventViewSet)

urlpatterns = [
    *router.urls,
    path("events/<int:event_id>/calendar.ics", EventCalendarView.as_view(), name="event-calendar"),
]
