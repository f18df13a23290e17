"""Whether an answer is one that the OpenAPI document promises."""

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

# Any path answers these, documented or not: no such method, and a fault.
ANYWHERE = {405, 500}
SHORT_PATHS = [
    (r"^/api/(signup|login|logout)/$", r"/api/authentication/\1/"),
    (r"^/api/events/(\d+)/reservations/$", r"/api/event/events/\1/total-reservations/"),
    (r"^/api/(event|reservation)s/", r"/api/\1/\1s/"),
]

generation_lock = Lock()

formats = jsonschema.FormatChecker(formats=["email"])


@formats.checks("date-time", raises=ValueError)
def is_date_time(value: object) -> bool:
    """Say whether text is a time with a zone; what is no text is for the type to judge."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class DocumentedClient(APIClient):
    """A client that fails the test where an answer is not as the document says."""

    def request(self, **request: Any) -> HttpResponse:
        response = super().request(**request)
        check(request["REQUEST_METHOD"], request["PATH_INFO"], response)
        return response


def check(method: str, path: str, response: HttpResponse) -> None:
    """Raise AssertionError where the document promises something else; what it leaves out may be anything."""
    described = operation(method, path)
    if described is None or response.status_code in ANYWHERE:
        return
    status = str(response.status_code)
    assert status in described["responses"], f"{described['operationId']} is not documented to answer {status}"
    promised = described["responses"][status]
    for header in promised.get("headers", {}):
        assert header in response.headers
    if "content" not in promised:
        assert response.content == b""
        return
    assert response["Content-Type"] in promised["content"]
    fits(json.loads(response.content), promised["content"][response["Content-Type"]]["schema"])


def fits(value: Any, schema: dict[str, Any]) -> None:
    """Raise where the value is not of the schema; properties that the schema does not name are wrong as well."""
    root = {"components": strict(document()["components"])}
    jsonschema.Draft202012Validator(root | strict(schema), format_checker=formats).validate(value)


def operation(method: str, path: str) -> dict[str, Any] | None:
    path = long_path(path)
    for template, item in document()["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", r"\\d+", template), path):
            return item.get(method.lower())
    return None


def long_path(path: str) -> str:
    """Return the documented path of the route that has this short one; any other path as it is."""
    for short, long in SHORT_PATHS:
        path = re.sub(short, long, path)
    return path


def document() -> dict[str, Any]:
    # The threads of a race may be the first to ask, and drf-spectacular fails where two make one at once.
    with generation_lock:
        return _document()


@functools.cache
def _document() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)


def strict(schema: Any) -> Any:
    """Say in JSON Schema what OpenAPI 3.0 says in words of its own, and allow no property without a name."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(part) for key, part in schema.items()}
    if schema.get("nullable") is True:
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    return schema
