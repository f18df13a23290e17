"""What the apps' views and serializers share."""

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
    """Refuse a method that the view doesn't have before asking who sends it."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(request.method or "")
        super().initial(request, *args, **kwargs)


class FilteredListMixin(GenericViewSet[Any]):
    """Filter the list alone, and only where a filter is asked for.

    To one row, a query parameter is one that it doesn't know.
    """

    filterset_class: type[FilterSet]

    def filter_queryset(self, queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        asked = self.filterset_class.base_filters.keys() & self.request.query_params.keys()
        return super().filter_queryset(queryset) if asked and self.action == "list" else queryset


class ConditionalReadMixin(RetrieveModelMixin, ListModelMixin, GenericViewSet[Any]):
    """Say 304 to a client that has the answer already, before it is made: pollers ask for what rarely changes.

    The tag is of the rows as the database has just given them, so that it changes with every seat,
    and of the version, which may show them otherwise.
    """

    paginator: PageNumberPagination

    # A 304 is a plain HttpResponse: there is nothing to render.
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        row = self.get_object()
        return self._unless_known([row], lambda: Response(self.get_serializer(row).data))

    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        page = self.paginator.paginate_queryset(self.filter_queryset(self.get_queryset()), request, self)
        return self._unless_known(
            page,
            lambda: self.get_paginated_response(self.get_serializer(page, many=True).data),
            self.paginator.page.paginator.count,
        )

    def _unless_known(self, rows: Iterable[Model], respond: Callable[[], Response], *more: Any) -> HttpResponse:
        request = self.request
        said = [[getattr(row, field.attname) for field in row._meta.concrete_fields] for row in rows]
        asked = request.build_absolute_uri(), request.accepted_media_type, settings.PROJECT["version"]
        tag = f'"{blake2b(repr((said, more, asked)).encode(), digest_size=16).hexdigest()}"'
        response: HttpResponse = HttpResponseNotModified() if has_tag(request, tag) else respond()
        response["ETag"] = tag
        # Keep it, but ask each time: a seat may have been sold.
        response["Cache-Control"] = "no-cache"
        return response


def has_tag(request: Request, tag: str) -> bool:
    """Say whether If-None-Match lists this tag, strong or weak, or is ``*``.

    A proxy that compresses makes a tag weak. The header is searched and not parsed, because it may list
    thousands of tags. No tag contains quotes, so the quoted one is found only where it is listed.
    """
    listed = request.headers.get("If-None-Match", "")
    return tag in listed or listed.strip() == "*"


class CachedFieldsMixin(Serializer[Any]):
    """Show rows by fields that are made once for the class: they hold nothing of a request.

    REST framework makes them anew for each serializer, which takes longer than all they do then.
    """

    @property
    def _readable_fields(self) -> list[AnyField]:
        return _shown_by(type(self))


@cache
def _shown_by(serializer_class: type[Serializer[Any]]) -> list[AnyField]:
    return [field for field in serializer_class().fields.values() if not field.write_only]
