"""The OpenAPI document is complete and correct, and its operations are sorted."""

import re
from json import dumps, loads

import pytest
import yaml
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse
from drf_spectacular.generators import SchemaGenerator
from jsonschema import ValidationError as SchemaError
from rest_framework.exceptions import APIException, NotAcceptable, ValidationError

from eventmanagement.api.documentation import generation_lock, render_document
from eventmanagement.api.openapi import OPERATIONS
from eventmanagement.refusals import Refusal, TooManyAttempts
from eventmanagement.serving.middleware import ERRORS
from tests.openapi import DocumentedClient, check, codes, document, fits

UNREADABLE = ["parse_error", "bad_request"]
WITHOUT_TOKEN = {"signup", "login", "event_list", "event_retrieve", "event_calendar", "calendar_feed"}
EVENT = "/api/event/events/1/"
LATER = {"Retry-After": "2"}


def operations():
    return {
        operation["operationId"]: (method, path, operation)
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    }


def bodies():
    """Return every example with its schema."""
    for name, (_, _, operation) in operations().items():
        described = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for status, body in described.items():
            content = body.get("content", {}).get("application/json", {})
            for title, example in content.get("examples", {}).items():
                yield pytest.param(example["value"], content["schema"], id=f"{name}-{status}-{title}")


def test_operations_come_in_the_order_of_a_first_use():
    assert list(operations()) == OPERATIONS


def test_version_is_that_of_the_project():
    project = (settings.BASE_DIR / "pyproject.toml").read_text()

    assert document()["info"]["version"] == re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1]


def test_document_is_served(api):
    response = api.get("/schema/", headers={"accept": "application/json"})

    assert response.json()["info"]["title"] == "Event management"


MEDIA_TYPES = {
    "application/vnd.oai.openapi": "application/vnd.oai.openapi; charset=utf-8",
    "application/yaml": "application/yaml; charset=utf-8",
    "application/vnd.oai.openapi+json": "application/vnd.oai.openapi+json",
    "application/json": "application/json",
    "text/html": "application/vnd.oai.openapi; charset=utf-8",
}


@pytest.mark.parametrize(("accept", "content_type"), MEDIA_TYPES.items())
def test_document_is_served_in_the_form_that_is_accepted(api, accept, content_type):
    response = api.get("/schema/", headers={"accept": accept})

    assert response["Content-Type"] == content_type
    assert response["Vary"] == "Accept"
    read = loads if content_type.endswith("json") else yaml.safe_load
    assert read(response.text) == loads(dumps(document()))


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/yaml", "application/json"])
@pytest.mark.parametrize("asked", ["json", "yaml"])
def test_document_is_served_in_the_format_of_the_query(api, accept, asked):
    response = api.get("/schema/", {"format": asked}, headers={"accept": accept})

    assert response["Content-Type"].partition(";")[0] == f"application/{asked}"
    read = loads if asked == "json" else yaml.safe_load
    assert read(response.text)["openapi"] == "3.1.1"


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/yaml", "application/json"])
@pytest.mark.parametrize("asked", ["", "xml", "JSON", "x" * 5000])
def test_unknown_format_of_the_document_is_400_in_json(api, accept, asked):
    response = api.get("/schema/", {"format": asked}, headers={"accept": accept})

    assert response.status_code == 400
    assert response["Content-Type"] == "application/json"
    assert response.json() == {"format": ["Choose json or yaml."]}


def test_document_is_generated_once_for_each_renderer(api, monkeypatch):
    generated = []
    generate = SchemaGenerator.get_schema

    def generate_and_count(*args, **options):
        generated.append(generation_lock.locked())
        return generate(*args, **options)

    monkeypatch.setattr(SchemaGenerator, "get_schema", generate_and_count)
    render_document.cache_clear()

    for indent in range(10):
        for media_type in [*MEDIA_TYPES, "*/*", f"text/{indent}"]:
            accept = f"{media_type}; indent={indent}"
            api.get(f"/schema/?version={indent}&lang={indent}", headers={"accept": accept, "host": "127.0.0.1"})

    assert generated == [True] * 4


@pytest.mark.parametrize("spelled", ["{}", "W/{}", '"other", {}', "*"])
def test_unchanged_document_is_304(api, spelled):
    tag = api.get("/schema/")["ETag"]

    response = api.get("/schema/", headers={"if-none-match": spelled.format(tag)})

    assert response.status_code == 304
    assert response.content == b""
    assert response["ETag"] == tag
    assert response["Cache-Control"] == "no-cache"


def test_document_has_a_tag_for_each_format(api):
    tags = {api.get("/schema/", headers={"accept": accept})["ETag"] for accept in ("application/json", "*/*")}

    assert len(tags) == 2
    assert api.get("/schema/", headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_described(name):
    _, _, operation = operations()[name]

    assert operation["tags"][0] in {"Authentication", "Events", "Reservations", "Waiting lists"}
    assert operation["summary"]
    assert operation["description"].endswith(".")
    assert operation["security"] == ([] if name in WITHOUT_TOKEN else [{"tokenAuth": []}])
    assert "503" in operation["responses"]
    assert {"413", "415"} <= operation["responses"].keys() or "requestBody" not in operation
    assert all(response["description"] for response in operation["responses"].values())


def test_short_paths_are_left_out():
    assert not [path for path in document()["paths"] if path.startswith(("/api/events", "/api/signup"))]


def subclasses(cls):
    return {cls}.union(*map(subclasses, cls.__subclasses__()))


def test_every_code_is_in_the_table_of_errors():
    refusals = {refusal.code: 400 for refusal in subclasses(Refusal) - {Refusal, TooManyAttempts}}
    # The field errors have no code, and the negotiation never responds 406.
    others = subclasses(APIException) - {ValidationError, NotAcceptable}
    exceptions = {error.default_code: error.status_code for error in others}
    middleware = {code: status for status, (code, _) in ERRORS.items()}

    assert codes() == refusals | exceptions | middleware


def codes_of(schema):
    """Return the codes of an error schema, from its discriminator if it has one."""
    schemas = document()["components"]["schemas"]
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "oneOf" in schema:
        mapping = schema["discriminator"]["mapping"]
        assert [codes_of(one) for one in schema["oneOf"]] == [[code] for code in mapping]
        assert [one["$ref"] for one in schema["oneOf"]] == list(mapping.values())
        return list(mapping)
    return [schema["properties"]["code"]["const"]]


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        (
            "reservation_create",
            "400",
            ["sold_out", "already_reserved", "event_cancelled", "event_started", *UNREADABLE],
        ),
        ("event_update", "400", ["capacity_below_reserved", *UNREADABLE]),
        ("event_partial_update", "400", ["capacity_below_reserved", *UNREADABLE]),
        ("reservation_cancel", "400", ["checked_in", "event_started"]),
        ("event_list", "400", ["bad_request"]),
        ("signup", "400", UNREADABLE),
        ("signup", "429", ["throttled"]),
        ("logout", "401", ["not_authenticated", "authentication_failed"]),
        ("event_delete", "403", ["permission_denied"]),
        ("event_delete", "404", ["not_found"]),
        ("event_create", "413", ["too_large"]),
        ("event_create", "415", ["unsupported_media_type"]),
        ("event_create", "503", ["unavailable"]),
    ],
)
def test_errors_of_an_operation_have_their_codes(name, status, expected):
    schema = operations()[name][2]["responses"][status]["content"]["application/json"]["schema"]

    assert codes_of(schema.get("anyOf", [schema])[0]) == expected


def test_only_the_refusal_of_a_second_seat_has_a_reservation():
    schemas = document()["components"]["schemas"]
    with_reservation = [
        name for name in schemas if name.endswith("Error") and "reservation" in schemas[name]["properties"]
    ]

    assert with_reservation == ["AlreadyReservedError"]
    assert "reservation" in schemas["AlreadyReservedError"]["required"]


def test_ids_have_64_bits():
    schemas = document()["components"]["schemas"]
    ids = [
        schemas["Event"]["properties"]["id"],
        schemas["Event"]["properties"]["organizer"],
        schemas["ReservationRequest"]["properties"]["event_id"],
        schemas["AlreadyReservedError"]["properties"]["reservation"],
        *(
            parameter["schema"]
            for name in ("event_retrieve", "event_list")
            for parameter in operations()[name][2]["parameters"]
            if parameter["name"] in ("id", "organizer")
        ),
    ]

    assert [(schema["type"], schema["format"]) for schema in ids] == [("integer", "int64")] * 6
    assert schemas["Event"]["properties"]["capacity"]["format"] == "int32"


@pytest.mark.parametrize("name", ["Account", "PatchedAccountRequest", "SignupRequest"])
def test_email_may_be_empty(name):
    email = document()["components"]["schemas"][name]["properties"]["email"]

    assert email == {"type": "string", "maxLength": 254, "title": "Email address"}


@pytest.mark.parametrize("name", ["EventRequest", "PatchedEventRequest"])
def test_optional_field_has_no_default(name):
    """A generator would require it in requests."""
    schema = document()["components"]["schemas"][name]

    assert "default" not in schema["properties"]["description"]
    assert "description" not in schema.get("required", [])


def test_docstrings_are_not_published():
    for name, schema in document()["components"]["schemas"].items():
        assert "description" not in schema or name.endswith(("Error", "FieldErrors"))


def test_parameters_come_in_the_order_of_their_use():
    names = [parameter["name"] for parameter in operations()["event_list"][2]["parameters"]]

    assert names[0] == "search"
    assert names[-3:] == ["page", "page_size", "If-None-Match"]


def test_paths_end_as_the_document_says():
    assert "end with a slash, except those of `.ics` files" in document()["info"]["description"]
    assert all(path.endswith(("/", ".ics")) for path in document()["paths"])


def test_lists_say_that_a_page_may_not_exist():
    paged = [
        operation["responses"]["404"]["description"]
        for _, _, operation in operations().values()
        if any(each["name"] == "page" for each in operation.get("parameters", []))
    ]

    assert len(paged) == 5
    assert all("this page does not exist" in each.lower() for each in paged)


def test_document_is_openapi_3_1():
    assert document()["openapi"] == "3.1.1"
    assert '"nullable"' not in dumps(document())
    assert document()["servers"][0]["url"] == "/"


def test_times_are_explained():
    description = document()["info"]["description"]

    assert "A time without a time zone is read as UTC. A date alone is refused." in description


@pytest.mark.parametrize(("example", "schema"), list(bodies()))
def test_example_is_of_its_schema(example, schema):
    fits(example, schema)


@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_examples_run_as_they_stand_on_a_fresh_database():
    client = DocumentedClient()
    changing = {"token", "created_at"}

    def steady(body):
        """Remove values that differ between runs."""
        if isinstance(body, list):
            return [steady(item) for item in body]
        if not isinstance(body, dict):
            return body
        return {key: steady(value) for key, value in body.items() if key not in changing}

    def run(name):
        method, path, operation = operations()[name]
        [content] = [response for status, response in operation["responses"].items() if status.startswith("2")]
        sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
        body = next((example["value"] for example in sent.values()), None)
        response = getattr(client, method)(re.sub(r"{\w+}", "1", path), body)
        examples = content.get("content", {}).get("application/json", {}).get("examples", {})
        for example in examples.values():
            assert steady(response.json()) == steady(example["value"])
        assert str(response.status_code) in operation["responses"]
        return response

    run("signup")
    client.credentials(HTTP_AUTHORIZATION=f"Token {run('login').json()['token']}")
    for name in [
        "event_create",
        "event_list",
        "event_retrieve",
        "event_update",
        "reservation_create",
        "reservation_list",
        "reservation_retrieve",
        "event_attendees",
        "reservation_cancel",
        "event_partial_update",
        "event_delete",
        "account_retrieve",
        "account_update",
        "account_delete",
    ]:
        run(name)
    # The same account with another id.
    User.objects.create_user("alice", password="correct-horse-battery")
    client.credentials(HTTP_AUTHORIZATION=f"Token {run('login').json()['token']}")
    client.credentials(HTTP_AUTHORIZATION=f"Token {run('password_change').json()['token']}")
    run("logout")


def json(body, status=200, headers=None):
    return JsonResponse(body, status=status, headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "response"),
    [
        ("GET", EVENT, json({}, status=418)),
        ("GET", EVENT, json({"id": 1})),
        ("GET", EVENT, json({"detail": "No.", "code": "not_found", "more": 1}, status=404)),
        ("GET", EVENT, json({"detail": "No."}, status=404)),
        ("TRACE", EVENT, json({"detail": "No."}, status=405)),
        ("TRACE", EVENT, json({"detail": "No.", "code": "not_found"}, status=405)),
        ("GET", EVENT, json({"detail": "No.", "code": "other"}, status=503, headers=LATER)),
        ("GET", "/api/events/1/", json({"id": 1})),
        ("GET", EVENT, json({"detail": "No.", "code": "unavailable"}, status=503)),
        ("DELETE", EVENT, HttpResponse(b"gone", status=204)),
        ("GET", EVENT, HttpResponse(b"<html>", status=404)),
    ],
    ids=[
        "status",
        "missing",
        "unknown",
        "no code",
        "undocumented",
        "wrong code",
        "code",
        "short path",
        "header",
        "body",
        "media type",
    ],
)
def test_undocumented_response_fails(method, path, response):
    with pytest.raises((AssertionError, KeyError, SchemaError)):
        check(method, path, response)


@pytest.mark.parametrize(
    ("method", "path", "response"),
    [
        ("GET", EVENT, json({"detail": "No Event matches the given query.", "code": "not_found"}, status=404)),
        ("GET", "/api/nowhere/", HttpResponse(b"<html>", status=404)),
        ("DELETE", "/api/events/1/", HttpResponse(status=204)),
        ("TRACE", EVENT, json({"detail": "No.", "code": "method_not_allowed"}, status=405)),
    ],
)
def test_documented_response_passes(method, path, response):
    check(method, path, response)
