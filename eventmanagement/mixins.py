"""What the apps' viewsets share."""

from django.db.models import QuerySet


class FilteredListMixin:
    """Filter the list alone: to one row, a query parameter is one that it doesn't know."""

    action: str

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        return super().filter_queryset(queryset) if self.action == "list" else queryset
