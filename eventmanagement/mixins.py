"""What the apps' views share."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request


class MethodsFirstMixin:
    """Refuse a method that the view doesn't have before asking who sends it."""

    allowed_methods: list[str]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(request.method)
        super().initial(request, *args, **kwargs)


class FilteredListMixin:
    """Filter the list alone: to one row, a query parameter is one that it doesn't know."""

    action: str

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        return super().filter_queryset(queryset) if self.action == "list" else queryset
