"""No URL and no form data causes a server error in the admin."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from django.conf import LazySettings
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from event.models import Event
from eventmanagement.serving.admin import INVALID_FILTER, ModelAdmin
from reservation.models import Reservation
from tests.admin import form_of, moment

# Percent-encoded, because some of it is not valid UTF-8.
JUNK = {
    "empty": "",
    "word": "abc",
    "negative": "-1",
    "last year": "9999",
    "other digits": "1_0%D9%A1",
    "65 bits": str(2**64),
    "list": f"1,{2**64}",
    "5000 digits": "9" * 5000,
    "NUL": "a%00b",
    "not UTF-8": "%FF%ED%A0%80",
    "long": "x" * 10_000,
    "syntax": quote("('\"<%{[\\"),
    "after the last day": quote("9999-12-31T23:59:59-23:59"),
}
MODELS = {model._meta.label_lower: model for model in admin.site._registry}
LAST = datetime(9999, 12, 31, 20, tzinfo=UTC)
# Lookups that the lists don't accept. Django would accept them, and fail for some values.
LOOKUPS = ["capacity__range", "id__in", "id__range", "id__regex", "user__in", "unknown", "_changelist_filters"]

each_junk = pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)


def routes(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern, route)


ROUTES = [route for route in routes(get_resolver()) if route.startswith("/admin/")]


def list_of(model: str) -> str:
    return f"/admin/{model.replace('.', '/')}/"


def field_names(model: str) -> list[str]:
    return [field.name for field in MODELS[model]._meta.get_fields()]


def filters(model: str) -> list[str]:
    """Return the query parameters that the list accepts, and some that it does not accept."""
    return sorted({*LOOKUPS, *field_names(model), *admin.site.get_model_admin(MODELS[model]).filters(None)})


@pytest.fixture
def visitor(boss: Client, reservation: Reservation, settings: LazySettings) -> Client:
    """A superuser whose requests return 500 instead of raising the exception."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    boss.raise_request_exception = False
    return boss


def failed(client: Client, *requests: tuple[str, str]) -> list[tuple[str, str, object]]:
    """Request these paths, by POST if there is a body. Return the requests that were server errors."""
    failed = []
    for path, body in requests:
        if body:
            response = client.post(path, body, content_type="application/x-www-form-urlencoded")
        else:
            response = client.get(path)
        if response.status_code >= 500:
            failed.append((path, body, response.exc_info and response.exc_info[1]))
    return failed


def bodies(form: dict[str, object], junk: str, *more: str) -> list[str]:
    """Return an urlencoded body for each field of the form, with junk in this field."""
    encoded = {name: quote(str(value)) for name, value in form.items()}
    forms = [encoded | {name: junk} for name in [*form, *more]]
    return ["&".join(f"{name}={value}" for name, value in form.items()) for form in forms]


def test_every_model_has_the_limits():
    assert all(isinstance(each, ModelAdmin) for each in admin.site._registry.values())


@each_junk
def test_path_is_no_server_error(visitor, junk):
    paths = [re.sub(r"<[^>]*>|\^?\(\?P.*", lambda _: junk, route) for route in ROUTES]

    assert len(paths) > 30
    assert failed(visitor, *[(path, "") for path in paths]) == []
    assert failed(visitor, *[(path, "post=yes") for path in paths if path != "/admin/logout/"]) == []


@pytest.mark.parametrize("model", MODELS)
@each_junk
def test_query_is_no_server_error(visitor, model, junk):
    page = list_of(model)
    queries = [f"{page}?{name}={junk}" for name in filters(model)]
    # With this flag, Django reports a broken database for a bad filter.
    queries += [f"{page}?e=1&id__exact={junk}"]
    fields = "&".join(f"{name}={junk}" for name in field_names(model))
    queries += [f"{page}add/?{fields}", f"{page}add/?_to_field={junk}", f"{page}add/?_popup={junk}"]
    queries += [f"{page}add/?_changelist_filters={quote(f'q={junk}&p={junk}')}"]

    assert failed(visitor, *[(query, "") for query in queries]) == []


@each_junk
def test_autocomplete_is_no_server_error(visitor, junk):
    query = {"app_label": "reservation", "model_name": "reservation", "field_name": "event", "term": "con", "page": "1"}

    assert failed(visitor, *[(f"/admin/autocomplete/?{body}", "") for body in bodies(query, junk)]) == []


@each_junk
def test_form_is_no_server_error(visitor, event, bob, junk):
    times = moment("date_joined", bob.date_joined) | moment("last_login", bob.date_joined)
    new_password = {"password1": "correct-horse", "password2": "correct-horse"}
    forms = {
        f"/admin/event/event/{event.pk}/change/": form_of(event),
        "/admin/reservation/reservation/add/": {"event": event.pk, "user": bob.pk},
        "/admin/auth/user/add/": {"username": "eve"} | new_password,
        f"/admin/auth/user/{bob.pk}/change/": {"username": "bob", "groups": "", "user_permissions": ""} | times,
        f"/admin/auth/user/{bob.pk}/password/": new_password,
        "/admin/auth/group/add/": {"name": "Ushers", "permissions": ""},
    }
    more = ["_popup", "_to_field", "initial-organizer"]
    posts = [(path, body) for path, form in forms.items() for body in bodies(form, junk, *more)]

    assert failed(visitor, *posts) == []


@pytest.mark.parametrize("model", MODELS)
@each_junk
def test_action_is_no_server_error(visitor, model, junk):
    choice = {"action": "delete_selected", "_selected_action": "1", "index": "0", "select_across": "0"}
    posts = [(list_of(model), body) for body in bodies(choice, junk)]
    posts += [(f"{list_of(model)}?p={junk}&q={junk}", "action=delete_selected&index=0&_selected_action=1")]

    assert failed(visitor, *posts) == []


@pytest.mark.parametrize(
    ("start_time", "titles"),
    [
        ("year=9999", ["last"]),
        ("year=9999&start_time__month=12", ["last"]),
        ("year=9999&start_time__month=12&start_time__day=31", ["last"]),
        ("year=9998", ["before"]),
        ("year=9998&start_time__month=12", ["before"]),
    ],
)
def test_last_year_can_be_selected(boss, alice, event_of, start_time, titles):
    event_of(alice, title="before", start_time=LAST - timedelta(days=365), end_time=LAST - timedelta(days=364))
    event_of(alice, title="last", start_time=LAST, end_time=LAST + timedelta(hours=1))

    response = boss.get(f"/admin/event/event/?start_time__{start_time}")

    assert [event.title for event in response.context["cl"].result_list] == titles


@pytest.mark.parametrize(
    "query", ["start_time__month=13", "start_time__year=2030&start_time__day=1", "capacity__range=1", "unknown=1"]
)
@pytest.mark.parametrize("flag", ["", "&e=1"])
def test_invalid_filter_is_ignored_with_a_message(boss, event, query, flag):
    response = boss.get(f"/admin/event/event/?{query}{flag}", follow=True)

    assert [str(message) for message in response.context["messages"]] == [INVALID_FILTER]
    assert list(response.context["cl"].result_list) == [event]


def test_action_with_an_invalid_filter_changes_nothing(boss, event):
    choice = {"action": "delete_selected", "_selected_action": [event.pk], "post": "yes"}

    boss.post("/admin/event/event/?capacity__range=1", choice)

    assert Event.objects.get() == event


@pytest.mark.parametrize("page", ["99", "9" * 20, "0", "-1"])
def test_page_that_does_not_exist_is_the_last_page(boss, alice, event_of, monkeypatch, page):
    monkeypatch.setattr(admin.site.get_model_admin(Event), "list_per_page", 2)
    events = [event_of(alice) for _ in range(3)]

    response = boss.get(f"/admin/event/event/?p={page}")

    assert list(response.context["cl"].result_list) == [max(events, key=lambda event: event.start_time)]
    assert response.context["cl"].page_num == 2


def test_link_that_clears_the_filters_keeps_the_date(boss, event):
    response = boss.get("/admin/event/event/?start_time__year=2030&seats=few&q=x")

    assert response.context["cl"].clear_all_filters_qs == "?q=x&start_time__year=2030"


def test_values_that_the_form_would_reject_are_ignored(boss, event):
    response = boss.get(f"/admin/reservation/reservation/add/?event={event.pk}&user=abc")

    assert response.context["adminform"].form.initial == {"event": str(event.pk)}
