"""How lists are cut into pages."""

from rest_framework import pagination
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request


class PageNumberPagination(pagination.PageNumberPagination):
    """Ten a page, up to a hundred by ``?page_size=``; more than that gives a hundred."""

    page_size = 10
    page_size_query_param = "page_size"
    max_page_size = 100

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
