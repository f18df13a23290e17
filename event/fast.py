"""The fast way to read one event, and the first page of the list (eventmanagement/api/fast.py)."""

from collections import namedtuple
from functools import cache
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection
from django.http import HttpRequest, HttpResponse
from rest_framework.utils.urls import replace_query_param

from event.models import Event
from event.serializers import EventSerializer
from eventmanagement.api.fast import JSON, FastMixin, NotPlain, json_response, represent
from eventmanagement.api.mixins import ConditionalRequestsMixin
from eventmanagement.api.pagination import PageNumberPagination, cached_count
from eventmanagement.database.postgresql import Prepared
from eventmanagement.database.queries import CompiledStatement, column_names, select


class FastEventMixin(FastMixin, ConditionalRequestsMixin):
    """Reads events without REST framework and with prepared statements, on PostgreSQL."""

    def respond_fast(self, request: HttpRequest) -> HttpResponse:
        if request.method != "GET" or connection.vendor != "postgresql":
            raise NotPlain
        if not (self.authenticate_fast(request) or settings.EVENTS_PUBLIC):
            raise NotPlain
        return self._retrieve_fast() if "pk" in self.kwargs else self._list_fast(request)

    def _retrieve_fast(self) -> HttpResponse:
        try:
            event = Event.objects.read(self.kwargs["pk"])
        except Event.DoesNotExist:
            raise NotPlain from None
        return self.conditional_response(self.etag(event), lambda: json_response(represent(event, EventSerializer)))

    def _list_fast(self, request: HttpRequest) -> HttpResponse:
        count = cached_count(lambda: COUNT, lambda: count_events().fetch_all(DEFAULT_DB_ALIAS)[0][0])
        rows = [Row(*row) for row in first_page().fetch_all(DEFAULT_DB_ALIAS)]
        uri = request.build_absolute_uri()
        following = replace_query_param(uri, "page", 2) if count > PageNumberPagination.page_size else None
        return self.conditional_response(
            self.etag_of_page(rows, count, uri, JSON),
            lambda: json_response(
                {
                    "count": count,
                    "next": following,
                    "previous": None,
                    "results": [represent(row, EventSerializer) for row in rows],
                }
            ),
        )


# The cache key of the number of all events.
COUNT = "events"
Row: Any = namedtuple("Row", column_names(Event))  # type: ignore[misc]  # The model has the names.


@cache
def count_events() -> CompiledStatement:
    table = connection.ops.quote_name(Event._meta.db_table)
    return CompiledStatement(Prepared(f"SELECT COUNT(*) FROM {table}"), ())  # noqa: S608 (a constant name)


@cache
def first_page() -> CompiledStatement:
    return select(Event.objects.values_list(*column_names(Event))[: PageNumberPagination.page_size])
