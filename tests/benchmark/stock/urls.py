from django.urls import include, path
from rest_framework.routers import DefaultRouter

from eventmanagement.serving.health import readyz
from tests.benchmark.stock.views import EventViewSet, ReservationViewSet, WaitlistViewSet

router = DefaultRouter()
router.register("events", EventViewSet)
router.register("reservations", ReservationViewSet)
router.register("waitlist", WaitlistViewSet)

urlpatterns = [path("api/", include(router.urls)), path("readyz", readyz)]
