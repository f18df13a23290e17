"""The fast way to book (eventmanagement/api/fast.py)."""

import re

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from rest_framework import status

from event.models import Event
from eventmanagement.api.exceptions import refusal_body
from eventmanagement.api.fast import JSON, FastMixin, NotPlain, json_response, represent
from eventmanagement.refusals import Refusal
from reservation.models import Reservation
from reservation.serializers import ReservationSerializer

# A JSON object with the id of an event and nothing else. An id has 18 digits at most here, which always fit a column.
PLAIN_BODY = re.compile(
    rb'[ \t\r\n]*\{[ \t\r\n]*"event_id"[ \t\r\n]*:[ \t\r\n]*([1-9][0-9]{0,17})[ \t\r\n]*\}[ \t\r\n]*'
)


class FastBookingMixin(FastMixin):
    """Books without REST framework, if the body is JSON and has only the id of the event."""

    def respond_fast(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST" or request.META.get("CONTENT_TYPE") != JSON:
            raise NotPlain
        body = PLAIN_BODY.fullmatch(request.body)
        user = self.authenticate_fast(request) if body else None
        if not (body and user):
            raise NotPlain
        try:
            reservation = Reservation.objects.book(user=user, event_id=int(body[1]))
        except Refusal as refusal:
            return json_response(refusal_body(refusal), status.HTTP_400_BAD_REQUEST)
        except (Event.DoesNotExist, IntegrityError):
            # There is no such event, or the user has just been deleted.
            raise NotPlain from None
        return json_response(represent(reservation, ReservationSerializer), status.HTTP_201_CREATED)
