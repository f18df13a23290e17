from django.urls import path
from rest_framework.routers import SimpleRouter

from reservation.views import CalendarFeedView, CalendarKeyView, ReservationViewSet, WaitlistViewSet

router = SimpleRouter(use_regex_path=False)
router.register("reservations", ReservationViewSet)
router.register("waitlist", WaitlistViewSet, basename="waitlist")

urlpatterns = [
    *router.urls,
    path("calendar/", CalendarKeyView.as_view(), name="calendar"),
    path("calendar/<str:key>.ics", CalendarFeedView.as_view(), name="calendar-feed"),
]
