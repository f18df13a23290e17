from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.functional import cached_property
from rest_framework import status
from rest_framework.exceptions import NotAuthenticated, NotFound, ValidationError
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.mixins import CreateModelMixin, DestroyModelMixin, ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from event.calendar import calendar_response
from event.models import Event
from event.permissions import IsOrganizer
from eventmanagement.api.mixins import FilterListOnlyMixin, MethodNotAllowedFirstMixin
from eventmanagement.api.pagination import PageNumberPagination
from eventmanagement.database.errors import read_timeout
from reservation.calendar import booked_events, calendar_entries, delete_key, holder_of, renew_key
from reservation.exceptions import AlreadyCancelled, AlreadyLeft
from reservation.exports import attendees_csv
from reservation.fast import FastBookingMixin
from reservation.filters import AttendeeFilter, ReservationFilter, WaitlistFilter
from reservation.models import Reservation, WaitlistEntry
from reservation.serializers import (
    AttendeeSerializer,
    BookingSerializer,
    CalendarAddressSerializer,
    CheckInSerializer,
    JoiningSerializer,
    ReservationSerializer,
    WaitingPersonSerializer,
    WaitlistEntrySerializer,
)

INVALID_FORMAT = "Choose csv or json."


class ReservationViewSet(
    FastBookingMixin,
    MethodNotAllowedFirstMixin,
    FilterListOnlyMixin,
    CreateModelMixin,
    ListModelMixin,
    RetrieveModelMixin,
    DestroyModelMixin,
    GenericViewSet[Reservation],
):
    """The user's own reservations. Other users' reservations are 404."""

    queryset = Reservation.objects.select_related("event", "user")
    serializer_class = ReservationSerializer
    permission_classes = [IsAuthenticated]
    filterset_class = ReservationFilter
    lookup_value_converter = "int"
    http_method_names = ["get", "head", "post", "delete"]

    def get_serializer_class(self) -> type[BaseSerializer[Reservation]]:
        return BookingSerializer if self.action == "create" else super().get_serializer_class()

    def get_queryset(self) -> QuerySet[Reservation]:
        return super().get_queryset().filter(user=self.request.user.pk)

    def perform_create(self, serializer: BaseSerializer[Reservation]) -> None:
        serializer.save(user=self.request.user)

    def perform_destroy(self, reservation: Reservation) -> None:
        try:
            reservation.cancel()
        except AlreadyCancelled:
            raise NotFound from None


class OrganizedEventMixin(MethodNotAllowedFirstMixin, GenericAPIView[Any]):
    """Only for the organizer of the event whose id is in the path."""

    permission_classes = [IsAuthenticated, IsOrganizer]

    @cached_property
    def event(self) -> Event:
        event = get_object_or_404(Event, pk=self.kwargs["event_id"])
        self.check_object_permissions(self.request, event)
        return event


class AttendeeListView(OrganizedEventMixin, ListAPIView[Reservation]):
    """The attendees of an event in the order of booking, in pages or as a CSV file. Only for its organizer."""

    queryset = Reservation.objects.select_related("user")
    serializer_class = AttendeeSerializer
    filterset_class = AttendeeFilter
    http_method_names = ["get", "head"]

    def get_queryset(self) -> QuerySet[Reservation]:
        return super().get_queryset().filter(event=self.event)

    # A file is a plain FileResponse: there is nothing to render.
    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        attendees = self.filter_queryset(self.get_queryset())
        match request.query_params.get("format", "json"):
            case "json":
                return super().list(request, *args, **kwargs)
            case "csv":
                return attendees_csv(self.event, attendees)
        raise ValidationError({"format": [INVALID_FORMAT]})


class AttendeeView(OrganizedEventMixin):
    """Lets the organizer of an event take the seat of an attendee back."""

    http_method_names = ["delete"]

    def delete(self, request: Request, reservation_id: int, **kwargs: Any) -> Response:
        try:
            Reservation.objects.take_back(self.event.pk, reservation_id, by=request.user.pk)
        except AlreadyCancelled:
            raise NotFound from None
        return Response(status=status.HTTP_204_NO_CONTENT)


class CheckInView(OrganizedEventMixin):
    """Lets the organizer of an event check an attendee in."""

    serializer_class = CheckInSerializer
    http_method_names = ["post"]

    def post(self, request: Request, **kwargs: Any) -> Response:
        event = self.event
        # Read and check the body before the event is locked, so that a slow client does not block others.
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            serializer.save(event_id=event.pk)
        except Event.DoesNotExist:
            raise NotFound from None
        return Response(serializer.data)


class CheckInUndoView(OrganizedEventMixin):
    """Lets the organizer of an event undo the check-in of an attendee."""

    http_method_names = ["delete"]

    def delete(self, request: Request, reservation_id: int, **kwargs: Any) -> Response:
        try:
            Reservation.objects.undo_check_in(self.event.pk, reservation_id)
        except (Event.DoesNotExist, Reservation.DoesNotExist):
            raise NotFound from None
        return Response(status=status.HTTP_204_NO_CONTENT)


class WaitlistViewSet(
    MethodNotAllowedFirstMixin,
    FilterListOnlyMixin,
    CreateModelMixin,
    ListModelMixin,
    RetrieveModelMixin,
    DestroyModelMixin,
    GenericViewSet[WaitlistEntry],
):
    """The user's own places on waiting lists. Other users' places are 404."""

    serializer_class = WaitlistEntrySerializer
    permission_classes = [IsAuthenticated]
    filterset_class = WaitlistFilter
    lookup_value_converter = "int"
    http_method_names = ["get", "head", "post", "delete"]

    def get_serializer_class(self) -> type[BaseSerializer[WaitlistEntry]]:
        return JoiningSerializer if self.action == "create" else super().get_serializer_class()

    def get_queryset(self) -> QuerySet[WaitlistEntry]:
        places = WaitlistEntry.objects.all() if self.action == "destroy" else WaitlistEntry.objects.with_positions()
        return places.select_related("event", "user").filter(user=self.request.user.pk)

    def perform_create(self, serializer: BaseSerializer[WaitlistEntry]) -> None:
        serializer.save(user=self.request.user)

    def perform_destroy(self, entry: WaitlistEntry) -> None:
        try:
            entry.leave()
        except AlreadyLeft:
            raise NotFound from None


class EventWaitlistView(OrganizedEventMixin, ListAPIView[WaitlistEntry]):
    """The waiting list of an event, in order. Only for its organizer."""

    queryset = WaitlistEntry.objects.select_related("user")
    serializer_class = WaitingPersonSerializer
    filter_backends = []
    http_method_names = ["get", "head"]

    def get_queryset(self) -> QuerySet[WaitlistEntry]:
        return super().get_queryset().filter(event=self.event)

    def paginate_queryset(self, queryset: QuerySet[WaitlistEntry, Any]) -> list[Any] | None:
        """Number the places of the page: after n places, the first one has the position n + 1.

        Counting in SQL would read the list up to each of the places.
        """
        page = super().paginate_queryset(queryset)
        paginator = cast(PageNumberPagination, self.paginator)
        for position, entry in enumerate(page or (), paginator.page.start_index()):
            entry.position = position
        return page


class CalendarKeyView(MethodNotAllowedFirstMixin, APIView):
    """Creates and deletes the secret address of the user's own calendar."""

    permission_classes = [IsAuthenticated]
    http_method_names = ["post", "delete"]

    def post(self, request: Request) -> Response:
        key = renew_key(request.auth)
        if key is None:
            raise NotAuthenticated
        url = reverse("calendar-feed", [key], request=request)
        headers = {"Cache-Control": "private, no-store"}
        return Response(CalendarAddressSerializer({"url": url}).data, status.HTTP_201_CREATED, headers=headers)

    def delete(self, request: Request) -> Response:
        delete_key(request.user.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class CalendarFeedView(MethodNotAllowedFirstMixin, APIView):
    """The user's own bookings as a calendar. The key in the path stands for a login."""

    authentication_classes = []
    permission_classes = [AllowAny]
    http_method_names = ["get", "head"]

    def get(self, request: Request, key: str) -> HttpResponse:
        user = holder_of(key)
        if user is None:
            raise NotFound
        with read_timeout():
            events = booked_events(user)
        response = calendar_response(request, calendar_entries(events, request), "Bookings")
        response["Cache-Control"] = "private, no-cache"
        # The address of this page is a secret.
        response["Referrer-Policy"] = "no-referrer"
        return response
