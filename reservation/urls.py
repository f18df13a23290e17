from rest_framework.routers import SimpleRouter

from reservation.views import ReservationViewSet

router = SimpleRouter(use_regex_path=False)
router.register("reservations", ReservationViewSet)

urlpatterns = router.urls
