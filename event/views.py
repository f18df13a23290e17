from typing import Any

from django.db import transaction
from django.http import Http404
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet

from event.filters import EventFilter
from event.models import Event
from event.permissions import IsOrganizerOrReader, MayReadEvents
from event.serializers import EventSerializer
from eventmanagement.mixins import ConditionalReadMixin, FilteredListMixin, MethodsFirstMixin


class EventViewSet(MethodsFirstMixin, FilteredListMixin, ConditionalReadMixin, ModelViewSet):
    """Events: everybody finds them, whoever is signed in creates one, its organizer keeps it."""

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    permission_classes = [MayReadEvents, IsOrganizerOrReader]
    filterset_class = EventFilter
    lookup_value_converter = "int"
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def get_object(self) -> Event:
        """Find the event; where it is about to change, as nobody else can change it meanwhile."""
        try:
            event = Event.objects.read(self.kwargs["pk"])
            self.check_object_permissions(self.request, event)
            if self.request.method not in SAFE_METHODS:
                event.lock()
        except Event.DoesNotExist:
            raise Http404("No Event matches the given query.") from None
        return event

    def perform_create(self, serializer: BaseSerializer) -> None:
        serializer.save(organizer=self.request.user)

    @transaction.atomic
    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().update(request, *args, **kwargs)

    @transaction.atomic
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().destroy(request, *args, **kwargs)
