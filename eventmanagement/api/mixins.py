"""Mixins for views and serializers."""

from collections.abc import Callable, Iterable
from functools import cache
from hashlib import blake2b
from typing import Any

from django.conf import settings
from django.db.models import Model, QuerySet
from django.http import HttpResponse, HttpResponseNotModified
from django_filters import FilterSet
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Field, Serializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from eventmanagement.api.pagination import PageNumberPagination

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


class ConditionalGetMixin(RetrieveModelMixin, ListModelMixin, GenericViewSet[Any]):
    """Adds an ETag, and returns 304 if the client's copy is current, without serializing the rows.

    The ETag is a hash of the current rows, so it changes with every seat. It also depends on the project's version,
    because another version may serialize rows differently.
    """

    paginator: PageNumberPagination

    # A 304 is a plain HttpResponse: there is nothing to render.
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        row = self.get_object()
        return self._conditional_response([row], lambda: Response(self.get_serializer(row).data))

    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        page = self.paginator.paginate_queryset(self.filter_queryset(self.get_queryset()), request, self)
        return self._conditional_response(
            page,
            lambda: self.get_paginated_response(self.get_serializer(page, many=True).data),
            self.paginator.page.paginator.count,
        )

    def _conditional_response(self, rows: Iterable[Model], respond: Callable[[], Response], *more: Any) -> HttpResponse:
        request = self.request
        said = [[getattr(row, field.attname) for field in row._meta.concrete_fields] for row in rows]
        asked = request.build_absolute_uri(), request.accepted_media_type, settings.PROJECT["version"]
        tag = f'"{blake2b(repr((said, more, asked)).encode(), digest_size=16).hexdigest()}"'
        response: HttpResponse = HttpResponseNotModified() if etag_matches(request, tag) else respond()
        response["ETag"] = tag
        # no-cache: clients may store the response but must revalidate it, because seats change.
        response["Cache-Control"] = "no-cache"
        return response


def etag_matches(request: Request, tag: str) -> bool:
    """Return whether If-None-Match contains this ETag (strong or weak) or is ``*``.

    A proxy that compresses responses makes the ETag weak. The header may contain thousands of ETags, so this
    searches for a substring instead of parsing it. That is safe: ``tag`` includes its quotes, and an ETag can't
    contain quotes.
    """
    listed = request.headers.get("If-None-Match", "")
    return tag in listed or listed.strip() == "*"


class CachedFieldsMixin(Serializer[Any]):
    """Caches the readable fields per serializer class. They hold no state of a request.

    REST framework builds them again for each serializer instance, which takes longer than serializing with them.
    """

    @property
    def _readable_fields(self) -> list[AnyField]:
        return _get_readable_fields(type(self))


@cache
def _get_readable_fields(serializer_class: type[Serializer[Any]]) -> list[AnyField]:
    return [field for field in serializer_class().fields.values() if not field.write_only]
