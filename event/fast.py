"""The fast way to read one event, and the first page of the list (eventmanagement/api/fast.py)."""

from collections import namedtuple
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Func, IntegerField, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from rest_framework.utils.urls import replace_query_param

from event.models import EVENT_BY_ID, Event
from event.serializers import EventSerializer
from eventmanagement.api.fast import JSON, FastMixin, NotPlain, Read, json_response, represent
from eventmanagement.api.mixins import ConditionalRequestsMixin
from eventmanagement.api.pagination import PageNumberPagination, count_key, get_count, keep_count
from eventmanagement.database.queries import CompiledStatement, column_names, select


class FastEventMixin(FastMixin, ConditionalRequestsMixin):
    """Reads events without REST framework and with prepared statements, on PostgreSQL."""

    def respond_fast(self, request: HttpRequest) -> HttpResponse:
        if request.method != "GET" or connection.vendor != "postgresql":
            raise NotPlain
        read = self.action_map.get("get")
        if read is None or not (settings.EVENTS_PUBLIC or self.key_of(request)):
            raise NotPlain
        return self._retrieve_fast(request) if read == "retrieve" else self._list_fast(request)

    def _retrieve_fast(self, request: HttpRequest) -> HttpResponse:
        rows = EVENT.rows(self, request, event_id=self.kwargs["pk"])
        if not rows:
            raise NotPlain
        row = Row(*rows[0])
        return self.conditional_response(self.etag(row), lambda: json_response(represent(row, EventSerializer)))

    def _list_fast(self, request: HttpRequest) -> HttpResponse:
        count, rows = self._first_page(request)
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

    def _first_page(self, request: HttpRequest) -> tuple[int, list[Any]]:
        """Return the number of all events and the first page of them, by one statement."""
        count = get_count(all_events_key)
        if count is not None:
            return count, [Row(*row) for row in PAGE.rows(self, request)]
        found = COUNTED_PAGE.rows(self, request)
        count = found[0][-1] if found else 0
        keep_count(all_events_key, count)
        return count, [Row(*row[:-1]) for row in found]


COUNT = Event.objects.order_by().annotate(count=Func(template="COUNT(*)", output_field=IntegerField())).values("count")
COLUMNS = column_names(Event)
Row: Any = namedtuple("Row", COLUMNS)  # type: ignore[misc]  # The model has the names.


EVENT = Read(lambda: EVENT_BY_ID.statement)
PAGE = Read(lambda: _page(Event.objects.values_list(*COLUMNS)), order_by="start_time, found.id")
# The last column of each row is the number of all events.
COUNTED_PAGE = Read(
    lambda: _page(Event.objects.annotate(count=Subquery(COUNT)).values_list(*COLUMNS, "count")),
    order_by="start_time, found.id",
)


def _page(events: QuerySet[Event, Any]) -> CompiledStatement:
    return select(events[: PageNumberPagination.page_size])


@cache
def all_events_key() -> str:
    return count_key(Event.objects.all())
