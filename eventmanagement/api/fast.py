"""A shorter way to the response of a plain request, for the views that a sale calls most.

For each request, REST framework builds a request object, negotiates a media type and builds serializers with their
fields. That takes a fifth of the CPU time of a booking, and half of that of a page of events (docs/performance.md). A
plain request needs none of it. tests/eventmanagement/api/test_fast.py shows that both ways return the same bytes and
headers.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

from django.contrib.auth.models import User
from django.db import DEFAULT_DB_ALIAS
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.relations import PrimaryKeyRelatedField
from rest_framework.renderers import JSONRenderer
from rest_framework.serializers import BooleanField, CharField, DateTimeField, IntegerField, Serializer
from rest_framework.views import APIView

from eventmanagement.api.mixins import readable_fields
from eventmanagement.database.postgresql import Prepared
from eventmanagement.database.queries import CompiledStatement

JSON = JSONRenderer.media_type
RENDERER = JSONRenderer()
# The first of the authentication classes in the settings, which have only one.
AUTHENTICATOR: Any = APIView.authentication_classes[0]()


class NotPlain(Exception):
    """The request is left to REST framework. Nothing has been changed yet."""


class FastMixin(APIView):
    """Lets a view respond to a plain request with ``respond_fast``. REST framework handles all other requests.

    A request is plain if its path allows the method, it accepts JSON, it has no query string, and ``respond_fast`` does
    not raise NotPlain.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if (
            request.method in self.allowed_methods
            and not request.META.get("QUERY_STRING")
            and request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", JSON)
        ):
            with suppress(NotPlain):
                response = self.respond_fast(request)
                for name, value in self.default_response_headers.items():
                    response[name] = value
                return response
        return super().dispatch(request, *args, **kwargs)

    def respond_fast(self, request: HttpRequest) -> HttpResponse:
        """Return the response. Raises NotPlain if REST framework must handle the request."""
        raise NotImplementedError

    def key_of(self, request: HttpRequest) -> str | None:
        """Return the token in the request's header, or None. Raises NotPlain if it can't be a token."""
        try:
            key: str | None = AUTHENTICATOR.key_of(request)
        except AuthenticationFailed:
            raise NotPlain from None
        return key

    def accept_fast(self, request: HttpRequest, found: User | None) -> User:
        """Return ``found``, the user of the request's token. Raises NotPlain if it is None or inactive."""
        try:
            user: User = AUTHENTICATOR.accept(found)
        except AuthenticationFailed:
            raise NotPlain from None
        # For the request's log line.
        request.user = user
        return user


class Read:
    """A statement that reads rows. If the request has a token, the same statement finds its user, in one round trip.

    ``compile_statement`` returns the statement without the user. ``order_by`` is the order of its rows, in SQL.
    """

    def __init__(self, compile_statement: Callable[[], CompiledStatement], order_by: str = "1") -> None:
        self._compile = compile_statement
        self._order_by = order_by

    @cached_property
    def statement(self) -> CompiledStatement:
        return self._compile()

    @cached_property
    def with_caller(self) -> CompiledStatement:
        caller = AUTHENTICATOR.user_by_token.statement
        sql = f"""
            SELECT found.*, caller.* FROM ({self.statement.sql}) found LEFT JOIN ({caller.sql}) caller ON TRUE
            ORDER BY {self._order_by}
        """  # noqa: S608 (all parts are constant)
        return CompiledStatement(Prepared(sql), (*self.statement.parameters, *caller.parameters))

    def rows(self, view: FastMixin, request: HttpRequest, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of the statement.

        With a token, raises NotPlain if the token is invalid, or if there are no rows.
        """
        key = view.key_of(request)
        if key is None:
            return self.statement.fetch_all(DEFAULT_DB_ALIAS, **values)
        rows = self.with_caller.fetch_all(DEFAULT_DB_ALIAS, key=key, **values)
        if not rows:
            raise NotPlain
        users = AUTHENTICATOR.user_by_token
        width = len(users.columns)
        caller = rows[0][-width:]
        view.accept_fast(request, None if caller[0] is None else users.instance(caller))
        return [row[:-width] for row in rows]


def json_response(data: Any, status_code: int = status.HTTP_200_OK) -> HttpResponse:
    return HttpResponse(RENDERER.render(data), JSON, status_code)


def represent(row: Any, serializer_class: type[Serializer[Any]]) -> dict[str, Any]:
    """Return what the serializer shows of a row: a model instance, or a tuple with the same attributes."""
    return {name: get(row) for name, get in _getters(serializer_class)}


@cache
def _getters(serializer_class: type[Serializer[Any]]) -> list[tuple[str, Callable[[Any], Any]]]:
    return [(str(field.field_name), _getter(field)) for field in readable_fields(serializer_class)]


def _getter(field: Any) -> Callable[[Any], Any]:
    """Return the function that gets a field's value from a row, as the field shows it."""
    get = attrgetter(field.source)
    if isinstance(field, PrimaryKeyRelatedField):
        return attrgetter(f"{field.source}_id")
    if isinstance(field, DateTimeField):
        return lambda row: _utc(get(row))
    if isinstance(field, Serializer):
        return lambda row: represent(get(row), type(field))
    if isinstance(field, CharField | IntegerField | BooleanField):
        return get
    raise TypeError(f"There is no fast way for {type(field).__name__}.")


def _utc(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
