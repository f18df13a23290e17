"""Mixins for views and serializers."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import Any

from django.conf import settings
from django.db.models import DateTimeField, Model, QuerySet
from django.http import HttpResponse, HttpResponseNotModified
from django_filters import FilterSet
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Field, Serializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from eventmanagement.api.exceptions import PreconditionFailed
from eventmanagement.api.pagination import PageNumberPagination
from eventmanagement.database.queries import column_names

# What servers such as Apache and Jetty add to an ETag, inside its quotes, when they compress the response.
COMPRESSION_SUFFIXES = ["", *(f"{mark}{coding}" for mark in ("-", "--", ";") for coding in ("gzip", "br", "zstd"))]

AnyField = Field[Any, Any, Any, Any]


class MethodNotAllowedFirstMixin(APIView):
    """Responds 405 to an unsupported method before authentication, permissions and throttling."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(request.method or "")
        super().initial(request, *args, **kwargs)


class FilterListOnlyMixin(GenericViewSet[Any]):
    """Applies filters only to the list, and only if the request has a filter parameter.

    For a single object, filter parameters are ignored.
    """

    filterset_class: type[FilterSet]

    def filter_queryset(self, queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        asked = self.filterset_class.base_filters.keys() & self.request.query_params.keys()
        return super().filter_queryset(queryset) if asked and self.action == "list" else queryset


class ConditionalRequestsMixin(RetrieveModelMixin, ListModelMixin, GenericViewSet[Any]):
    """Adds an ETag to responses. Returns 304 if the client's copy is current, without serializing the rows.

    The ETag of a row is a hash of its columns, so it changes with every booking. It does not depend on the URL or the
    media type. The ETag of a list does. Both change with the serializer and with the project's version.
    """

    paginator: PageNumberPagination

    # A 304 is a plain HttpResponse: there is nothing to render.
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        row = self.get_object()
        return self.conditional_response(self.etag(row), lambda: Response(self.get_serializer(row).data))

    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        page = self.paginator.paginate_queryset(self.filter_queryset(self.get_queryset()), request, self)
        count = self.paginator.page.paginator.count
        return self.conditional_response(
            self.etag_of_page(page, count, request.build_absolute_uri(), request.accepted_media_type),
            lambda: self.get_paginated_response(self.get_serializer(page, many=True).data),
        )

    def etag_of_page(self, page: Iterable[Any], count: int, uri: str, media_type: str | None) -> str:
        """Return the ETag of a page of a list, with its quotes. A row is an instance, or a tuple with its columns."""
        return self._hash(page, count, (uri, media_type))

    def etag(self, row: Any) -> str:
        """Return the ETag of a row, with its quotes. The row is an instance, or a tuple with its columns."""
        return self._hash([row])

    def check_preconditions(self, row: Model) -> None:
        """Raise PreconditionFailed if the request's ``If-Match`` or ``If-None-Match`` does not allow a write.

        The caller must hold the row's lock, so that the row does not change before the write. An ``If-Match`` that is
        not a list of ETags matches nothing.
        """
        expected = self.request.headers.get("If-Match")
        if expected is not None and not lists_etag(expected, self.etag(row)):
            raise PreconditionFailed
        excluded = self.request.headers.get("If-None-Match")
        if excluded is not None and lists_etag(excluded, self.etag(row)):
            raise PreconditionFailed

    def _hash(self, rows: Iterable[Any], *more: Any) -> str:
        serializer_class: Any = self.get_serializer_class()
        names = column_names(serializer_class.Meta.model)
        columns = [[_plain(getattr(row, name)) for name in names] for row in rows]
        shape = _shape(serializer_class)
        shown = columns, more, shape, settings.PROJECT["version"]
        return f'"{blake2b(repr(shown).encode(), digest_size=16).hexdigest()}"'

    def conditional_response(self, tag: str, respond: Callable[[], HttpResponse]) -> HttpResponse:
        response: HttpResponse = HttpResponseNotModified() if etag_matches(self.request, tag) else respond()
        response["ETag"] = tag
        # no-cache: clients may store the response but must revalidate it, because seats change.
        response["Cache-Control"] = "no-cache"
        return response


def _plain(value: Any) -> Any:
    """Return a value whose repr is the same in every process. A datetime's repr depends on the class of its zone."""
    return value.isoformat() if isinstance(value, datetime) else value


@cache
def _shape(serializer_class: type[Serializer[Any]]) -> str:
    """Return the serializer's output for a sample row, so that ETags change when the output format changes."""
    model = serializer_class.Meta.model  # type: ignore[attr-defined]  # That of a ModelSerializer.
    columns = enumerate(model._meta.concrete_fields, 1)
    sample = model(**{field.attname: _sample_value(field, number) for number, field in columns})
    return repr(serializer_class(sample).data)


def _sample_value(field: Any, number: int) -> Any:
    return datetime.fromtimestamp(number, UTC) if isinstance(field, DateTimeField) else field.to_python(number)


def etag_matches(request: Request, tag: str) -> bool:
    """Return whether If-None-Match contains this ETag or is ``*``."""
    return lists_etag(request.headers.get("If-None-Match", ""), tag)


def lists_etag(header: str, tag: str) -> bool:
    """Return whether the header contains this ETag or is ``*``.

    A proxy that compresses responses makes the ETag weak or adds a suffix. Such an ETag matches too, even in If-Match.
    Otherwise clients behind such a proxy could not use conditional requests.

    The header may contain thousands of ETags, so this searches for a substring instead of parsing it. That is safe:
    ``tag`` includes its quotes, and an ETag can't contain quotes.
    """
    value = tag[:-1]
    return header.strip() == "*" or any(f'{value}{suffix}"' in header for suffix in COMPRESSION_SUFFIXES)


class CachedFieldsMixin(Serializer[Any]):
    """Caches the readable fields per serializer class. They hold no state of a request.

    REST framework builds them again for each serializer instance, which takes longer than serializing with them.
    """

    @property
    def _readable_fields(self) -> list[AnyField]:
        return readable_fields(type(self))


@cache
def readable_fields(serializer_class: type[Serializer[Any]]) -> list[AnyField]:
    """Return the fields in the output of a serializer class, in their order."""
    return [field for field in serializer_class().fields.values() if not field.write_only]
