from rest_framework.routers import SimpleRouter

from reservation.views import ReservationViewSet, WaitlistViewSet

router = SimpleRouter(use_regex_path=False)
router.register("reservations", ReservationViewSet)
router.register("waitlist", WaitlistViewSet, basename="waitlist")

urlpatterns = router.urls
