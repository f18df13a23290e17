"""The admin site, and a mixin for its search."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse

from eventmanagement.api.search import SearchField
from eventmanagement.database.errors import read_timeout

View = Callable[..., HttpResponse]


class AdminSite(admin.AdminSite):
    """The admin site. Each query of a request is limited to READ_TIMEOUT, except in POST requests."""

    site_header = site_title = "Event management"

    # Django's types promise a view of the same type.
    def admin_view(self, view: View, cacheable: bool = False) -> View:  # type: ignore[override]
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            # Only POST requests change data. Other methods, such as OPTIONS, run the same queries as GET.
            if request.method == "POST":
                return view(request, *args, **kwargs)
            with read_timeout():
                response = view(request, *args, **kwargs)
                # Render within the limit, because the admin's templates query the database, e.g. for date_hierarchy.
                return response.render() if isinstance(response, SimpleTemplateResponse) else response

        return super().admin_view(limited, cacheable)


class LimitedSearchMixin(admin.ModelAdmin):
    """Applies the API's search limits to the admin. A search above them finds nothing and shows a warning."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        for message in read_search(request.GET.get(SEARCH_VAR, ""))[1]:
            self.message_user(request, message, messages.WARNING)
        return super().changelist_view(request, extra_context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text, errors = read_search(search_term)
        return (queryset.none(), False) if errors else super().get_search_results(request, queryset, text)


def read_search(text: str) -> tuple[str, list[str]]:
    """Return the normalized search text and no errors, or an empty text and the error messages."""
    try:
        return SearchField(required=False).clean(text), []
    except ValidationError as error:
        return "", error.messages
