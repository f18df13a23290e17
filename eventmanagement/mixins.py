"""What the apps' views and serializers share."""

from functools import cache
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.serializers import Field, Serializer


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


class FieldsOnceMixin:
    """Show rows by fields that are made once for the class: they hold nothing of a request.

    REST framework makes them anew for each serializer, which takes longer than all they do then.
    """

    @property
    def _readable_fields(self) -> list[Field]:
        return _shown_by(type(self))


@cache
def _shown_by(serializer_class: type[Serializer]) -> list[Field]:
    return [field for field in serializer_class().fields.values() if not field.write_only]
