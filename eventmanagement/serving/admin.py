"""The admin site, and the base class of its model admins."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter, helpers, widgets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import model_ngettext
from django.contrib.admin.views import main
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.admin.views.main import ERROR_FLAG, IGNORED_PARAMS, PAGE_VAR, SEARCH_VAR
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.core.paginator import EmptyPage, Paginator
from django.db import DatabaseError, DataError, IntegrityError, models, transaction
from django.db.models import QuerySet
from django.forms import Field, ModelChoiceField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.utils.timezone import make_aware

from eventmanagement.api.search import SearchField
from eventmanagement.database.errors import Unavailable, is_connection_lost, is_unavailable, read_timeout

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponse]

# The maximum number of rows that one action changes or deletes. The confirmation page contains one field for each of
# them (DATA_UPLOAD_MAX_NUMBER_FIELDS), and its form must stay below MAX_FORM_SIZE.
MAX_SELECTED = 2000
# The maximum number of rows that the confirmation page lists.
MAX_LISTED = 100

VALUE_OUT_OF_RANGE = "The request contains a value that the database can't store or compare."
INVALID_SELECTION = "The selection contains an invalid id."
INVALID_FILTER = "The address contained an invalid filter, so the list below is not filtered."
CHANGED_MEANWHILE = "Related data was changed or deleted in the meantime. Nothing has been saved. Please try again."
TOO_BUSY = "This took too long, so nothing has been changed. Select fewer rows, or try again later."

DATE_PARTS = ("year", "month", "day")


class AutocompleteSelect(widgets.AutocompleteSelect):
    """Django's widget. For an invalid id, the form is shown again with an error. Django's widget would cause a 500."""

    def optgroups(self, name: str, value: Sequence[str], attrs: dict[str, Any] | None = None) -> list[Any]:
        model = self.choices.queryset.model
        return super().optgroups(name, [each for each in value if is_id(model, each)], attrs)


class AutocompleteView(AutocompleteJsonView):
    """Django's view, with the labels of the model admin."""

    def serialize_result(self, obj: models.Model, to_field_name: str) -> dict[str, str]:
        return {"id": str(getattr(obj, to_field_name)), "text": label_of(self.model_admin, obj)}


class AdminSite(admin.AdminSite):
    """The admin site. Each query is limited to READ_TIMEOUT, except in POST requests."""

    site_header = site_title = "Event management"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        # Replaces Django's action of the same name.
        self.add_action(delete_selected, "delete_selected")  # type: ignore[arg-type]  # It needs our ModelAdmin.

    # Django's types promise a view of the same type.
    def admin_view(self, view: View, cacheable: bool = False) -> View:  # type: ignore[override]
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                # Only POST requests change data. Other methods, such as OPTIONS, run the same queries as GET.
                with nullcontext() if request.method == "POST" else read_timeout():
                    response = view(request, *args, **kwargs)
                    # Render within the limit, because the admin's templates query the database, e.g. for
                    # date_hierarchy.
                    if isinstance(response, SimpleTemplateResponse):
                        response.render()
                    return response
            except (DataError, OverflowError) as error:
                # For example an id of more than 64 bits (an OverflowError on SQLite), or a NUL character (a DataError
                # on PostgreSQL).
                logger.warning("value out of range: %s", type(error).__name__)
                raise BadRequest(VALUE_OUT_OF_RANGE) from error

        return super().admin_view(limited, cacheable)

    def download_view(self, view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        """Return a view for logged-in staff. Unlike ``admin_view``, it does not limit the queries of the view.

        The view must limit them itself, and may give the database connection back.
        """
        return super().admin_view(view)

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        return AutocompleteView.as_view(admin_site=self)(request)  # type: ignore[return-value]  # It is a JsonResponse.


class LastPagePaginator(Paginator):
    """Returns the last page instead of one after it, for example after all rows of that page were deleted."""

    def validate_number(self, number: Any) -> int:
        try:
            return super().validate_number(number)
        except EmptyPage:
            return self.num_pages


class ChangeList(main.ChangeList):
    """Django's list of rows, with a date hierarchy that includes the year 9999."""

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Replace the parameters of the date hierarchy by the range of times that they select.

        Django does the same later, but it can't compute the end of a range that ends after the year 9999.
        """
        lookups = super().get_filters_params(params)
        if not self.date_hierarchy:
            return lookups
        year, month, day = (lookups.pop(f"{self.date_hierarchy}__{part}", [""])[-1] for part in DATE_PARTS)
        if year or month or day:
            begin, end = date_range(year, month, day)
            lookups[f"{self.date_hierarchy}__gte"] = [begin]
            if end:
                lookups[f"{self.date_hierarchy}__lt"] = [end]
        return lookups

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> QuerySet[Any]:
        queryset = super().get_queryset(request, exclude_parameters)
        # Django would add the range of the date hierarchy to this link.
        used = [parameter for spec in self.filter_specs for parameter in spec.expected_parameters() or () if parameter]
        self.clear_all_filters_qs = self.get_query_string(dict.fromkeys(used))
        return queryset

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.page_num = self.paginator.validate_number(self.page_num)


def date_range(year: str, month: str, day: str) -> tuple[datetime, datetime | None]:
    """Return the start of a year, month or day, and the start of the next one. The latter is None after the year 9999.

    Raises IncorrectLookupParameters if they are not a date.
    """
    if not year or (day and not month):
        raise IncorrectLookupParameters
    try:
        begin = make_aware(datetime(int(year), int(month or 1), int(day or 1)))  # noqa: DTZ001  # It becomes aware.
    except (ValueError, OverflowError) as error:
        raise IncorrectLookupParameters from error
    try:
        if day:
            return begin, begin + timedelta(days=1)
        if month:
            return begin, (begin + timedelta(days=32)).replace(day=1)
        return begin, begin.replace(year=begin.year + 1)
    except (ValueError, OverflowError):
        return begin, None


class ModelAdmin(admin.ModelAdmin):
    """The base class of all model admins. Limits searches and selections. An invalid URL is no server error.

    It is also used as a mixin for Django's own model admins.
    """

    admin_site: AdminSite
    paginator = LastPagePaginator
    # Lookups that links on other pages use, besides ``list_filter`` and ``date_hierarchy``.
    linked_lookups: Sequence[str] = ()
    # The words for deleting a row. For example, a reservation is cancelled, not deleted.
    delete_verb = "delete"
    delete_participle = "deleted"

    def label(self, row: Any) -> str:
        """Return the text that identifies a row, for example in a field that offers a choice of rows."""
        return str(row)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return ChangeList

    def get_changelist_instance(self, request: HttpRequest) -> main.ChangeList:
        """Allow only the filters that links use. Django would allow every lookup of the model's own columns.

        Several of them, such as ``range`` and ``regex``, are server errors or expensive for some values.
        """
        try:
            if not self.filters(request).issuperset(request.GET):
                raise IncorrectLookupParameters
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters:
            self.message_user(request, INVALID_FILTER, messages.WARNING)
            raise

    def filters(self, request: HttpRequest) -> set[str]:
        """Return the query parameters that the list accepts."""
        filters = {*IGNORED_PARAMS, PAGE_VAR, ERROR_FLAG, *self.linked_lookups}
        filters.update(f"{self.date_hierarchy}__{part}" for part in DATE_PARTS if self.date_hierarchy)
        for each in self.get_list_filter(request):
            if isinstance(each, str):
                filters |= {f"{each}__exact", f"{each}__id__exact", f"{each}__isnull"}
            elif isinstance(each, type) and issubclass(each, SimpleListFilter):
                filters.add(str(each.parameter_name))
        return filters

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        for message in read_search(request.GET.get(SEARCH_VAR, ""))[1]:
            self.message_user(request, message, messages.WARNING)
        if ERROR_FLAG in request.GET:
            # With this flag and a bad filter, Django would report a broken database.
            query = request.GET.copy()
            del query[ERROR_FLAG]
            request.GET = query  # type: ignore[assignment]  # Its type forbids changes.
        return super().changelist_view(request, extra_context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text, errors = read_search(search_term)
        return (queryset.none(), False) if errors else super().get_search_results(request, queryset, text)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        # Django would look for a field with an empty name if "_to_field" is empty.
        return super().get_object(request, object_id, from_field or None)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return the initial values from the query string, without those that the form would reject."""
        fields = self.get_form(request).base_fields
        initial = super().get_changeform_initial_data(request)
        return {name: value for name, value in initial.items() if name in fields and accepts(fields[name], value)}

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Add the time zone to the help text of a time. Use the model admin's labels for a choice of rows."""
        if isinstance(db_field, models.DateTimeField):
            options.setdefault("help_text", f"Time zone: {settings.TIME_ZONE}.")
        field = super().formfield_for_dbfield(db_field, request, **options)
        model = db_field.related_model
        if isinstance(field, ModelChoiceField) and self.admin_site.is_registered(model):
            model_admin = self.admin_site.get_model_admin(model)
            field.label_from_instance = partial(label_of, model_admin)  # type: ignore[method-assign]
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            options.setdefault("widget", AutocompleteSelect(db_field, self.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **options)

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **options)
        except IntegrityError as error:
            return self.changed_meanwhile(request, error)

    def delete_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        try:
            return super().delete_view(request, *args, **options)
        except IntegrityError as error:
            return self.changed_meanwhile(request, error)

    def changed_meanwhile(self, request: HttpRequest, error: IntegrityError) -> HttpResponse:
        """Return to the page with a message, after a conflict with another request. Nothing has been saved."""
        logger.warning("%s: conflict: %s", self, type(error).__name__, exc_info=error)
        self.message_user(request, CHANGED_MEANWHILE, messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        if not all(is_id(self.model, each) for each in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)):
            raise BadRequest(INVALID_SELECTION)
        return super().response_action(request, queryset)


@admin.action(permissions=["delete"], description="Delete selected %(verbose_name_plural)s")
def delete_selected(model_admin: ModelAdmin, request: HttpRequest, selected: QuerySet[Any]) -> HttpResponse | None:
    """Delete the selected rows, at most MAX_SELECTED, after a confirmation page. Replaces Django's action.

    Deletes all of them in one transaction, or none. The confirmation page lists at most MAX_LISTED rows.
    """
    ids = list(selected.values_list("pk", flat=True)[: MAX_SELECTED + 1])
    is_cut = len(ids) > MAX_SELECTED
    rows = selected.filter(pk__in=ids[:MAX_SELECTED])
    described, counts, missing, protected = model_admin.get_deleted_objects(rows, request)
    if request.POST.get("post") and not protected and not is_cut:
        if missing:
            raise PermissionDenied
        return delete_rows(model_admin, request, rows)
    request.current_app = model_admin.admin_site.name
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"{model_admin.delete_verb} {model_admin.opts.verbose_name_plural}".capitalize(),
        "verb": model_admin.delete_verb,
        "participle": model_admin.delete_participle,
        "objects_name": model_ngettext(rows),
        "deletable_objects": shortened(described),
        "model_count": dict(counts).items(),
        "queryset": rows,
        "total": selected.count() if is_cut else None,
        "perms_lacking": missing,
        "protected": shortened(protected),
        "opts": model_admin.opts,
        "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        "media": model_admin.media,
    }
    return TemplateResponse(request, "admin/delete_selected_confirmation.html", context)


def delete_rows(model_admin: ModelAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
    """Delete and log all rows, or none, and show the result as a message. Returns a redirect if the deletion failed."""
    count = 0

    def delete() -> None:
        nonlocal count
        count = len(rows)
        if count:
            model_admin.log_deletions(request, rows)
            model_admin.delete_queryset(request, rows)

    if failure := all_or_none(model_admin, request, delete):
        return failure
    message = f"Successfully {model_admin.delete_participle} {count} {model_ngettext(model_admin.opts, count)}."
    model_admin.message_user(request, message, messages.SUCCESS if count else messages.WARNING)
    return None


def all_or_none(model_admin: ModelAdmin, request: HttpRequest, change: Callable[[], None]) -> HttpResponse | None:
    """Make a change of many rows in one transaction.

    If it fails, returns a redirect to the list, which shows why nothing has been changed. Otherwise returns None.
    """
    try:
        with transaction.atomic():
            change()
    except IntegrityError as error:
        return model_admin.changed_meanwhile(request, error)
    except (DatabaseError, Unavailable) as error:
        # After a lost connection, the rows may have been deleted.
        if not is_unavailable(error) or is_connection_lost(error):
            raise
        logger.warning("%s: unavailable: %s", model_admin, error)
        model_admin.message_user(request, TOO_BUSY, messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())
    return None


def shortened(descriptions: list[Any]) -> list[Any]:
    """Return the first MAX_LISTED descriptions, and the number of further rows. Nested lists describe related rows."""
    rest = sum(not isinstance(each, list) for each in descriptions[MAX_LISTED:])
    return descriptions[:MAX_LISTED] + ([f"and {rest} more"] if rest else [])


def label_of(model_admin: admin.ModelAdmin, row: models.Model) -> str:
    return model_admin.label(row) if isinstance(model_admin, ModelAdmin) else str(row)


def is_id(model: type[models.Model], value: Any) -> bool:
    """Return whether the value could be the primary key of a row."""
    try:
        model._meta.pk.clean(value, None)
    except ValidationError:
        return False
    return True


def accepts(field: Field, value: Any) -> bool:
    """Return whether a form field accepts the value."""
    try:
        field.clean(value)
    except ValidationError:
        return False
    return True


def read_search(text: str) -> tuple[str, list[str]]:
    """Return the normalized search text and no errors, or an empty text and the error messages."""
    try:
        return SearchField(required=False).clean(text), []
    except ValidationError as error:
        return "", error.messages
