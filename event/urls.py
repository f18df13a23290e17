from rest_framework.routers import SimpleRouter

from event.views import EventViewSet

router = SimpleRouter(use_regex_path=False)
router.register("events", EventViewSet)

urlpatterns = router.urls
