"""Pagination that stays fast for long lists."""

from collections.abc import Callable
from contextlib import nullcontext
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

# Counts up to this number are never cached.
MAX_UNCACHED_COUNT = 10_000
# In seconds. Larger counts are cached, because counting 100,000 rows takes longer than the rest of the response.
# After COUNT_TTL seconds one request per process counts again, and others use the old count for up to STALE_TTL more.
COUNT_TTL, STALE_TTL = 4, 1
# The cache key of a flag that is set while any count is cached.
LONG_LISTS = "long-lists"
# From this offset on, the page is found by primary key: only the index is read for the skipped rows.
DEEP_PAGE_OFFSET = 1_000


def count_key(rows: QuerySet[Any]) -> str:
    """Return the cache key of the number of rows: a hash of the query."""
    try:
        query = rows.order_by().query.sql_with_params()
    except EmptyResultSet:
        query = "", ()
    return sha256(repr(query).encode()).hexdigest()


def get_count(get_key: Callable[[], str]) -> int | None:
    """Return the count that is cached under this key, or None if the rows must be counted.

    Computing the key of a query takes as long as running the query, so it is skipped while no count is cached.
    """
    kept: int | None = cache.get(get_key()) if cache.get(LONG_LISTS) else None
    is_due = kept is not None and cache.add(f"{get_key()}-fresh", True, COUNT_TTL)
    return None if is_due else kept


def keep_count(get_key: Callable[[], str], count: int) -> None:
    """Cache the count if it is above MAX_UNCACHED_COUNT."""
    if count > MAX_UNCACHED_COUNT:
        cache.set(f"{get_key()}-fresh", True, COUNT_TTL)
        cache.set(get_key(), count, COUNT_TTL + STALE_TTL)
        cache.set(LONG_LISTS, True, COUNT_TTL + STALE_TTL)
    elif cache.get(LONG_LISTS):
        cache.delete(get_key())


class CachedCountPaginator(Paginator):  # type: ignore[type-arg]  # Not generic at runtime.
    """Caches long counts for a few seconds. Finds deep pages by primary key."""

    object_list: QuerySet[Any]

    @cached_property
    def count(self) -> int:
        """The number of rows: exact up to ``MAX_UNCACHED_COUNT``, otherwise up to five seconds old."""
        count = get_count(lambda: self._key)
        if count is None:
            count = self.object_list.order_by().count()
            keep_count(lambda: self._key, count)
        return count

    @cached_property
    def _key(self) -> str:
        return count_key(self.object_list)

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        rows = self.object_list[first : first + self.per_page]
        if first >= DEEP_PAGE_OFFSET:
            rows = self.object_list.filter(pk__in=self.object_list.values("pk")[first : first + self.per_page])
        if first and not rows:
            # The cached count is too high, because rows have been deleted.
            raise EmptyPage(self.error_messages["no_results"])
        return Page(rows, number, self)


class PageNumberPagination(pagination.PageNumberPagination):
    """10 rows per page by default. ``?page_size=`` sets up to 100; larger values give 100."""

    django_paginator_class = CachedCountPaginator
    page: Page[Any]
    page_size = 10
    page_size_query_param = "page_size"
    max_page_size = 100
    page_query_description = "The page number, starting at 1."
    page_size_query_description = "The number of items per page: 10 by default, 100 at most."

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema of a page. The examples are of a list with only one page."""
        link = {"type": ["string", "null"], "format": "uri", "example": None}
        return {
            "type": "object",
            "properties": {
                "count": {"type": "integer", "description": "The number of items on all pages.", "example": 1},
                "next": link | {"description": "The URL of the next page; null on the last page."},
                "previous": link | {"description": "The URL of the previous page; null on the first page."},
                "results": schema,
            },
        }

    def paginate_queryset(
        self, queryset: QuerySet[Any, Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """Count the rows and read the page, with READ_TIMEOUT for each query if the request has parameters.

        Without parameters the page is read from an index, so STATEMENT_TIMEOUT is enough. READ_TIMEOUT costs three
        more round trips to the database.
        """
        # Reject an invalid page_size before any query.
        self.get_page_size(request)
        with read_timeout() if request.query_params else nullcontext():
            # None stands for a list without pages.
            return super().paginate_queryset(queryset, request, view) or []

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get(self.page_size_query_param)
        if not asked:
            return self.page_size
        try:
            return min(positive(asked), self.max_page_size)
        except ValueError:
            raise ValidationError({self.page_size_query_param: ["Enter a whole number greater than zero."]}) from None


def positive(text: str) -> int:
    """Parse a whole number greater than zero. Raises ValueError."""
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(text)
    return int(text)
