from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import Http404, HttpResponse
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet

from event.calendar import calendar_entry, calendar_response
from event.fast import FastEventMixin
from event.filters import EventFilter
from event.models import Event
from event.permissions import IsAuthenticatedOrPublicRead, IsOrganizerOrReadOnly
from event.serializers import CancellationSerializer, EventSerializer
from eventmanagement.api import limits
from eventmanagement.api.downloads import content_disposition
from eventmanagement.api.mixins import ConditionalRequestsMixin, FilterListOnlyMixin, MethodNotAllowedFirstMixin


class EventViewSet(
    FastEventMixin, MethodNotAllowedFirstMixin, FilterListOnlyMixin, ConditionalRequestsMixin, ModelViewSet[Event]
):
    """Anyone can list and read events. Logged-in users can create them.

    Only the organizer can edit, delete or call off one.
    """

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    permission_classes = [IsAuthenticatedOrPublicRead, IsOrganizerOrReadOnly]
    filterset_class = EventFilter
    lookup_value_converter = "int"
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    def get_object(self) -> Event:
        try:
            event = Event.objects.read(self.kwargs["pk"])
        except Event.DoesNotExist:
            raise _not_found() from None
        self.check_object_permissions(self.request, event)
        return event

    @contextmanager
    def locked(self, event: Event) -> Iterator[None]:
        """Open a transaction, lock the event until the end of the block, and check the permissions again.

        Raises Http404 if the event has been deleted, PermissionDenied if it has a new organizer, or
        PreconditionFailed if it is not the version that the request is for.
        """
        with transaction.atomic():
            try:
                event.lock()
            except Event.DoesNotExist:
                raise _not_found() from None
            self.check_object_permissions(self.request, event)
            self.check_preconditions(event)
            yield

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        self.perform_create(serializer)
        return self._respond(serializer, status.HTTP_201_CREATED)

    @transaction.atomic
    def perform_create(self, serializer: BaseSerializer[Event]) -> None:
        # In the same transaction: if the event can't be created, the rollback also undoes the count.
        limits.spend(settings.THROTTLE_EVENTS, "events", str(self.request.user.pk))
        serializer.save(organizer=self.request.user)

    def update(self, request: Request, *args: Any, partial: bool = False, **kwargs: Any) -> Response:
        event = self.get_object()
        # Read the body before locking the event, so that a slow client does not block bookings.
        changes = request.data
        with self.locked(event):
            serializer = self.get_serializer(event, data=changes, partial=partial)
            serializer.is_valid(raise_exception=True)
            self.perform_update(serializer)
        return self._respond(serializer)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        event = self.get_object()
        with self.locked(event):
            self.perform_destroy(event)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Call the event off."""
        event = self.get_object()
        body = request.data
        with self.locked(event):
            cancellation = CancellationSerializer(data=body)
            cancellation.is_valid(raise_exception=True)
            event.cancel(**cancellation.validated_data)
        return self._respond(self.get_serializer(event))

    def _respond(self, serializer: BaseSerializer[Event], status_code: int = status.HTTP_200_OK) -> Response:
        """Return the event as it has been written, with its ETag."""
        tag = self.etag(serializer.instance)
        return Response(serializer.data, status_code, headers={"ETag": tag})


class EventCalendarView(MethodNotAllowedFirstMixin, APIView):
    """An event as a file for calendar programs."""

    permission_classes = [IsAuthenticatedOrPublicRead]
    http_method_names = ["get", "head"]

    def get(self, request: Request, event_id: int) -> HttpResponse:
        try:
            event = Event.objects.read(event_id)
        except Event.DoesNotExist:
            raise _not_found() from None
        response = calendar_response(request, [calendar_entry(event, event.description, request)])
        response["Content-Disposition"] = content_disposition("{}.ics", event.title, f"event {event.pk}")
        response["Cache-Control"] = "no-cache"
        return response


def _not_found() -> Http404:
    return Http404("No Event matches the given query.")
