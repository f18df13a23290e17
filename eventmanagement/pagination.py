"""How lists are cut into pages."""

from typing import Any

from rest_framework import pagination
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request


class PageNumberPagination(pagination.PageNumberPagination):
    """Ten a page, up to a hundred by ``?page_size=``; more than that gives a hundred."""

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
