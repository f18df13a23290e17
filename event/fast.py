"""The fast way to read one event, and the first page of the list (eventmanagement/api/fast.py)."""

from collections import namedtuple
from functools import cache
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Func, IntegerField, Subquery
from django.http import HttpRequest, HttpResponse
from rest_framework.utils.urls import replace_query_param

from event.models import Event
from event.serializers import EventSerializer
from eventmanagement.api.fast import JSON, FastMixin, NotPlain, json_response, represent
from eventmanagement.api.mixins import ConditionalRequestsMixin
from eventmanagement.api.pagination import PageNumberPagination, count_key, get_count, keep_count
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
        count, rows = first_page()
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


COUNT = Event.objects.order_by().annotate(count=Func(template="COUNT(*)", output_field=IntegerField())).values("count")
COLUMNS = column_names(Event)
Row: Any = namedtuple("Row", COLUMNS)  # type: ignore[misc]  # The model has the names.


@cache
def all_events_key() -> str:
    return count_key(Event.objects.all())


def first_page() -> tuple[int, list[Any]]:
    """Return the number of all events and the first page of them, by one statement."""
    count = get_count(all_events_key)
    if count is not None:
        return count, [Row(*row) for row in page_statement().fetch_all(DEFAULT_DB_ALIAS)]
    found = counted_page_statement().fetch_all(DEFAULT_DB_ALIAS)
    count = found[0][-1] if found else 0
    keep_count(all_events_key, count)
    return count, [Row(*row[:-1]) for row in found]


@cache
def page_statement() -> CompiledStatement:
    return select(Event.objects.values_list(*COLUMNS)[: PageNumberPagination.page_size])


@cache
def counted_page_statement() -> CompiledStatement:
    """Return the statement for the page whose rows have the number of all events as one more column."""
    counted = Event.objects.annotate(count=Subquery(COUNT))
    return select(counted.values_list(*COLUMNS, "count")[: PageNumberPagination.page_size])
