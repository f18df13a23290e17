from django.conf import settings
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from event.models import Event


class IsAuthenticatedOrPublicRead(IsAuthenticated):
    """Anyone may read if EVENTS_PUBLIC is true. Everything else needs an authenticated user."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        reads_public = settings.EVENTS_PUBLIC and request.method in SAFE_METHODS
        return reads_public or super().has_permission(request, view)


class IsOrganizer(BasePermission):
    message = "Only the organizer of this event may do this."

    def has_object_permission(self, request: Request, view: APIView, event: Event) -> bool:
        return event.organizer_id == request.user.pk


class IsOrganizerOrReadOnly(IsOrganizer):
    def has_object_permission(self, request: Request, view: APIView, event: Event) -> bool:
        return request.method in SAFE_METHODS or super().has_object_permission(request, view, event)
