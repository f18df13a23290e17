"""Checks responses against the OpenAPI document."""

import functools
import json
import re
from datetime import datetime
from threading import Lock
from typing import Any

import jsonschema
from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

# Any path may return these without documenting them: method not allowed, and internal server error.
UNDOCUMENTED_STATUSES = {405, 500}
SHORT_PATHS = [
    (r"^/api/(signup|login|logout|me|password|delete-account)/$", r"/api/authentication/\1/"),
    (r"^/api/events/(\d+)/reservations/", r"/api/event/events/\1/total-reservations/"),
    (r"^/api/(event|reservation)s/", r"/api/\1/\1s/"),
    (r"^/api/waitlist/", r"/api/reservation/waitlist/"),
    (r"^/api/calendar/", "/api/reservation/calendar/"),
]

generation_lock = Lock()

formats = jsonschema.FormatChecker(formats=["email"])


@formats.checks("date-time", raises=ValueError)
def is_date_time(value: object) -> bool:
    """Return whether a string is a date and time with a time zone. Other types are checked by ``type``."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class DocumentedClient(APIClient):
    """A test client that fails the test if a response does not match the document."""

    def request(self, **request: Any) -> HttpResponse:
        response = super().request(**request)
        check(request["REQUEST_METHOD"], request["PATH_INFO"], response)
        return response


def check(method: str, path: str, response: HttpResponse) -> None:
    """Raise AssertionError if the response does not match the document.

    On undocumented paths, only the codes of errors are checked.
    """
    check_code(response)
    described = operation(method, path)
    if described is None or response.status_code in UNDOCUMENTED_STATUSES:
        return
    status = str(response.status_code)
    assert status in described["responses"], f"{described['operationId']} is not documented to answer {status}"
    promised = described["responses"][status]
    for header in promised.get("headers", {}):
        assert header in response.headers
    if "content" not in promised:
        assert response.content == b""
        return
    media_type = response["Content-Type"].partition(";")[0]
    assert media_type in promised["content"]
    if media_type == "application/json":
        fits(json.loads(response.content), promised["content"][media_type]["schema"])


def check_code(response: HttpResponse) -> None:
    """Raise AssertionError if a JSON error has a message, but no code of the document's table."""
    if response.status_code < 400 or response["Content-Type"] != "application/json":
        return
    body = json.loads(response.content)
    if "detail" in body:
        assert codes()[body["code"]] == response.status_code


def codes() -> dict[str, int]:
    """Return the document's table of error codes, with the status of each."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", document()["info"]["description"], re.MULTILINE)
    return {code: int(status) for code, status in rows}


def fits(value: Any, schema: dict[str, Any]) -> None:
    """Raise if the value does not match the schema. Unknown properties are errors too."""
    root = {"components": strict(document()["components"])}
    jsonschema.Draft202012Validator(root | strict(schema), format_checker=formats).validate(value)


def operation(method: str, path: str) -> dict[str, Any] | None:
    path = long_path(path)
    for template, item in document()["paths"].items():
        pattern = template.replace("{key}.", r"[^/]*\.")
        if re.fullmatch(re.sub(r"{\w+}", r"\\d+", pattern), path):
            return item.get(method.lower())
    return None


def long_path(path: str) -> str:
    """Return the long path for a short path. Returns other paths unchanged."""
    for short, long in SHORT_PATHS:
        path = re.sub(short, long, path)
    return path


def document() -> dict[str, Any]:
    # drf-spectacular fails when two threads generate their first document at the same time.
    with generation_lock:
        return _document()


@functools.cache
def _document() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)


def strict(schema: Any) -> Any:
    """Forbid additional properties in a schema."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    return schema
