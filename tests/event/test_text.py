"""The texts of an event: which ones are refused, and how they are normalized for storage and search."""

from importlib import import_module

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.urls import reverse

from event.models import Event
from eventmanagement.text_fields import (
    CONTROL_IN_LINE,
    CONTROL_IN_TEXT,
    MAX_COMBINING_MARKS,
    NOTHING_VISIBLE,
    TOO_MANY_MARKS,
)
from tests.admin import errors, form_of
from tests.conftest import LONG, SHORT
from tests.event.test_create import CONCERT

COMPOSED, DECOMPOSED = "Caf\u00e9", "Cafe\u0301"
MARKS = "a" + "\u0300\u0316" * MAX_COMBINING_MARKS

REFUSALS = [
    ("title", "\u200b", NOTHING_VISIBLE),
    ("title", "\u115f\u3164", NOTHING_VISIBLE),
    ("title", "\u2800 \u2800", NOTHING_VISIBLE),
    ("title", "two\nlines", CONTROL_IN_LINE),
    ("title", "two\u2028lines", CONTROL_IN_LINE),
    ("title", "a\ttab", CONTROL_IN_LINE),
    ("title", "an \x1bescape", CONTROL_IN_LINE),
    ("title", MARKS, TOO_MANY_MARKS),
    ("description", "an \x1bescape", CONTROL_IN_TEXT),
    ("description", "a \x7fdelete", CONTROL_IN_TEXT),
    ("description", MARKS, TOO_MANY_MARKS),
]


@pytest.fixture(params=[LONG, SHORT], ids=["long", "short"])
def routes(request):
    return request.param


def stored(field):
    """Read the column without the model's fields."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {field} FROM event_event")
        return cursor.fetchone()[0]


def store(event, **columns):
    """Write the columns without the model's fields."""
    with connection.cursor() as cursor:
        for name, value in columns.items():
            cursor.execute(f"UPDATE event_event SET {name} = %s WHERE id = %s", [value, event.pk])


@pytest.mark.parametrize(("field", "value", "sentence"), REFUSALS)
def test_invalid_text_is_refused_with_a_message(as_user, alice, routes, event, field, value, sentence):
    client = as_user(alice)

    created = client.post(routes.events, CONCERT | {field: value})
    edited = client.patch(routes.event(event), {field: value})

    assert (created.status_code, created.json()) == (400, {field: [sentence]})
    assert (edited.status_code, edited.json()) == (400, {field: [sentence]})
    assert Event.objects.get().title == "Concert"


@pytest.mark.parametrize(("field", "value", "sentence"), REFUSALS)
def test_admin_refuses_the_same(boss, event, field, value, sentence):
    response = boss.post(reverse("admin:event_event_change", args=[event.pk]), form_of(event, **{field: value}))

    assert errors(response) == {field: [sentence]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "日本の夜 👩\u200d🔬 \u200eא"),
        ("description", "one\n\ttwo\n"),
        ("description", "\u200b"),
        ("description", "a" + "\u0316" * MAX_COMBINING_MARKS),
    ],
)
def test_valid_text_is_stored_unchanged(as_user, alice, routes, field, value):
    response = as_user(alice).post(routes.events, CONCERT | {field: value})

    assert response.status_code == 201
    assert response.json()[field] == value.strip()


@pytest.mark.parametrize("field", ["title", "description"])
def test_api_stores_the_composed_form(as_user, alice, routes, field):
    response = as_user(alice).post(routes.events, CONCERT | {field: DECOMPOSED})

    assert response.json()[field] == stored(field) == COMPOSED


@pytest.mark.parametrize("field", ["title", "description"])
def test_admin_stores_the_composed_form(boss, event, field):
    boss.post(reverse("admin:event_event_change", args=[event.pk]), form_of(event, **{field: DECOMPOSED}))

    assert stored(field) == COMPOSED


def rename(event):
    event.title = DECOMPOSED
    event.save()
    assert event.title == COMPOSED


def create_in_bulk(event):
    copy = Event(
        title=DECOMPOSED, capacity=1, organizer=event.organizer, start_time=event.start_time, end_time=event.end_time
    )
    event.delete()
    Event.objects.bulk_create([copy])


def update_in_bulk(event):
    event.title = DECOMPOSED
    Event.objects.bulk_update([event], ["title"])


@pytest.mark.parametrize(
    "write", [rename, create_in_bulk, update_in_bulk, lambda event: Event.objects.update(title=DECOMPOSED)]
)
def test_models_store_the_composed_form(event, write):
    write(event)

    assert stored("title") == COMPOSED


def test_model_refuses_too_many_marks(event):
    event.description = MARKS

    with pytest.raises(ValidationError):
        event.save()


@pytest.mark.parametrize("search", [COMPOSED, DECOMPOSED, DECOMPOSED.upper()])
@pytest.mark.parametrize("title", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("field", ["title", "description"])
def test_both_forms_find_each_other(api, boss, routes, alice, event_of, field, title, search):
    event = event_of(alice, **{"title": "Concert", field: title})

    found = api.get(routes.events, {"search": search}).json()["results"]
    found_by_admin = boss.get(reverse("admin:event_event_changelist"), {"q": search}).context["cl"].result_list

    assert [result["id"] for result in found] == [event.pk]
    assert list(found_by_admin) == [event]


@pytest.mark.parametrize("search", ["ÉCOLE", "école", "e\u0301cole", "ΣΊΣΥΦΟΣ", "сцена", "СЦЕНА"])
def test_search_ignores_case_in_any_script(api, routes, alice, event_of, search):
    event_of(alice, title="École Сцена Σίσυφος")
    event_of(alice, title="ecole")

    assert api.get(routes.events, {"search": search}).json()["count"] == 1


def test_search_with_too_many_marks_is_refused(api, boss, routes, event):
    response = api.get(routes.events, {"search": MARKS})
    by_admin = boss.get(reverse("admin:event_event_changelist"), {"q": MARKS})

    assert (response.status_code, response.json()) == (400, {"search": [TOO_MANY_MARKS]})
    assert TOO_MANY_MARKS in by_admin.text
    assert not by_admin.context["cl"].result_list


@pytest.mark.parametrize("field", ["title", "description"])
def test_length_is_that_of_the_composed_form(as_user, boss, alice, routes, event, field):
    longest = Event._meta.get_field(field).max_length
    fits, exceeds = "e\u0301" * longest, "e\u0301" * (longest + 1)
    client = as_user(alice)

    assert client.patch(routes.event(event), {field: exceeds}).status_code == 400
    assert client.patch(routes.event(event), {field: fits}).json()[field] == "é" * longest
    assert field in errors(
        boss.post(reverse("admin:event_event_change", args=[event.pk]), form_of(event, **{field: exceeds}))
    )
    assert (
        boss.post(reverse("admin:event_event_change", args=[event.pk]), form_of(event, **{field: fits})).status_code
        == 302
    )


def test_form_that_becomes_longer_is_measured_too(as_user, alice, routes, event):
    """U+0958 is two characters in NFC."""
    assert as_user(alice).patch(routes.event(event), {"title": "\u0958" * 100}).json()["title"] == "\u0915\u093c" * 100
    assert as_user(alice).patch(routes.event(event), {"title": "\u0958" * 101}).status_code == 400


@pytest.mark.parametrize("sent", ["one\r\ntwo", "one\rtwo", "one\ntwo"])
def test_line_breaks_are_stored_in_one_form(as_user, boss, alice, routes, event, sent):
    response = as_user(alice).patch(routes.event(event), {"description": sent})

    assert response.json()["description"] == stored("description") == "one\ntwo"


def test_line_breaks_of_a_browser_are_stored_in_the_same_form(boss, event):
    boss.post(reverse("admin:event_event_change", args=[event.pk]), form_of(event, description="one\r\ntwo"))

    assert stored("description") == "one\ntwo"


@pytest.mark.django_db(transaction=True)
def test_migration_normalizes_what_was_stored_before(api, routes, alice, event_of):
    event, other, marked = event_of(alice), event_of(alice), event_of(alice)
    store(event, title=DECOMPOSED, description=f"{DECOMPOSED}\r\n")
    store(other, title="\u0958" * 200, description="Plain")
    store(marked, title="Marked", description=MARKS)

    apps = MigrationLoader(connection).project_state(("event", "0007_normalize_texts")).apps
    with connection.schema_editor() as editor:
        import_module("event.migrations.0007_normalize_texts").normalize_texts(apps, editor)

    assert list(Event.objects.order_by("pk").values_list("title", "description")) == [
        (COMPOSED, f"{COMPOSED}\n"),
        # Its normal form is too long for a title.
        ("\u0958" * 200, "Plain"),
        ("Marked", MARKS),
    ]
    assert api.get(routes.events, {"search": DECOMPOSED}).json()["count"] == 1
