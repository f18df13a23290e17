"""The fast way to book (eventmanagement/api/fast.py)."""

import re
from functools import partial
from typing import cast

from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import status

from event.models import Event
from eventmanagement.api.exceptions import refusal_body
from eventmanagement.api.fast import AUTHENTICATOR, JSON, FastMixin, NotPlain, json_response, represent
from eventmanagement.refusals import Refusal
from reservation import booking_sql
from reservation.models import Reservation
from reservation.serializers import ReservationSerializer

# A JSON object with the id of an event and nothing else. The id has at most 18 digits, so that it fits the column.
PLAIN_BODY = re.compile(
    rb'[ \t\r\n]*\{[ \t\r\n]*"event_id"[ \t\r\n]*:[ \t\r\n]*([1-9][0-9]{0,17})[ \t\r\n]*\}[ \t\r\n]*'
)


class FastBookingMixin(FastMixin):
    """Books without REST framework, if the body is JSON and has only the id of the event."""

    def respond_fast(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST" or request.META.get("CONTENT_TYPE") != JSON:
            raise NotPlain
        try:
            body = PLAIN_BODY.fullmatch(request.body)
        except UnreadablePostError:
            raise NotPlain from None
        key = self.key_of(request) if body else None
        if not (body and key):
            raise NotPlain
        try:
            reservation = self._book(request, key, int(body[1]))
        except Refusal as refusal:
            return json_response(refusal_body(refusal), status.HTTP_400_BAD_REQUEST)
        except (Event.DoesNotExist, IntegrityError):
            # There is no such event, the user has just been deleted, or a second booking of the same user was faster.
            raise NotPlain from None
        return json_response(represent(reservation, ReservationSerializer), status.HTTP_201_CREATED)

    def _book(self, request: HttpRequest, key: str, event_id: int) -> Reservation:
        users = AUTHENTICATOR.user_by_token
        if not booking_sql.is_supported() or not connection.get_autocommit():
            user = self.accept_fast(request, users.first(key=key))
            return Reservation.objects.book(user=user, event_id=event_id)
        reservation = booking_sql.book_by_token(users, key, event_id, partial(self.accept_fast, request))
        # If there is neither a reservation nor a reason against it, the reason has disappeared. Try again.
        return reservation or Reservation.objects.book(user=cast(User, request.user), event_id=event_id)
