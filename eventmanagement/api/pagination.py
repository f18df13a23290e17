"""How lists are cut into pages, however long they are."""

from hashlib import sha256
from typing import Any

from django.core.cache import cache
from django.core.exceptions import EmptyResultSet
from django.core.paginator import EmptyPage, Page, Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property
from rest_framework import pagination
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from eventmanagement.database.errors import read_timeout

# Rows up to which a count is always exact.
EXACT_COUNT = 10_000
# Seconds for which a larger one is kept, as to count 100,000 rows takes longer than the rest of the answer; and
# for which it then still serves the others while one request counts anew, one in each process.
COUNT_KEPT, RENEWING = 4, 1
# Rows that are skipped as they come; beyond, they are skipped in the index alone.
SKIPPED = 1_000


class LongListPaginator(Paginator):  # type: ignore[type-arg]  # Not generic at runtime.
    """Counts a long list every few seconds, and reads none of the rows before a page."""

    object_list: QuerySet[Any]

    @cached_property
    def count(self) -> int:
        """How many rows there are: exactly up to ``EXACT_COUNT``, beyond up to five seconds ago."""
        rows = self.object_list.order_by()
        try:
            key = sha256(repr(rows.query.sql_with_params()).encode()).hexdigest()
        except EmptyResultSet:
            return 0
        kept: int | None = cache.get(key)
        if kept is not None and not cache.add(f"{key}-fresh", True, COUNT_KEPT):
            return kept
        count = rows.count()
        if count > EXACT_COUNT:
            cache.set(f"{key}-fresh", True, COUNT_KEPT)
            cache.set(key, count, COUNT_KEPT + RENEWING)
        elif kept is not None:
            cache.delete(key)
        return count

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        rows = self.object_list[first : first + self.per_page]
        if first >= SKIPPED:
            rows = self.object_list.filter(pk__in=self.object_list.values("pk")[first : first + self.per_page])
        if first and not rows:
            # The count that was kept knows of more than there still are.
            raise EmptyPage(self.error_messages["no_results"])
        return Page(rows, number, self)


class PageNumberPagination(pagination.PageNumberPagination):
    """Ten a page, up to a hundred by ``?page_size=``; more than that gives a hundred."""

    django_paginator_class = LongListPaginator
    page: Page[Any]
    page_size = 10
    page_size_query_param = "page_size"
    max_page_size = 100
    page_query_description = "Which page, from 1."
    page_size_query_description = "How many on a page, 10 unless told otherwise and 100 at most."

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page; its examples are of one that is first and last."""
        link = {"type": "string", "format": "uri", "nullable": True, "example": None}
        return {
            "type": "object",
            "properties": {
                "count": {"type": "integer", "description": "How many there are on all pages.", "example": 1},
                "next": link | {"description": "The next page; null on the last."},
                "previous": link | {"description": "The page before; null on the first."},
                "results": schema,
            },
        }

    def paginate_queryset(
        self, queryset: QuerySet[Any, Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """Count the rows and read those of the page, within READ_TIMEOUT."""
        # Refuses a bad one before the database is asked for anything.
        self.get_page_size(request)
        with read_timeout():
            # None stands for a list without pages.
            return super().paginate_queryset(queryset, request, view) or []

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get(self.page_size_query_param)
        if asked is None:
            return self.page_size
        try:
            return min(positive(asked), self.max_page_size)
        except ValueError:
            raise ValidationError({self.page_size_query_param: ["Enter a whole number above zero."]}) from None


def positive(text: str) -> int:
    """Read a whole number above zero, or raise ValueError."""
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(text)
    return int(text)
