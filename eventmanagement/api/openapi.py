"""Helpers and hooks for the OpenAPI document."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from django.utils.module_loading import autodiscover_modules
from drf_spectacular import openapi
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.views import APIView

from eventmanagement.api.exceptions import refusal_body
from eventmanagement.refusals import Refusal
from eventmanagement.serving.middleware import sentence

View = TypeVar("View", bound=Callable[..., Any])
# Path, path as a regular expression, HTTP method, view.
Endpoint = tuple[str, str, str, Callable[..., Any]]

LONG_PATHS = ("/api/authentication/", "/api/event/", "/api/reservation/")

# The order of the operations in the document, as a new user needs them. Generating the document fails if an
# operation is missing here.
OPERATIONS = [
    "signup",
    "login",
    "logout",
    "account_retrieve",
    "account_update",
    "password_change",
    "account_delete",
    "event_list",
    "event_create",
    "event_retrieve",
    "event_update",
    "event_partial_update",
    "event_delete",
    "event_attendees",
    "reservation_create",
    "reservation_list",
    "reservation_retrieve",
    "reservation_cancel",
]

# The schemas of error responses. bad_request() adds one for each set of refusals.
ERROR_SCHEMAS: dict[str, dict[str, Any]] = {
    "Error": {
        "type": "object",
        "description": "An error message.",
        "properties": {"detail": {"type": "string"}},
        "required": ["detail"],
    },
    "FieldErrors": {
        "type": "object",
        "description": "Error messages for each invalid field. Errors that belong to no single field are under "
        "`non_field_errors`.",
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
    },
}


RESPONSE_HEADERS = [
    OpenApiParameter(
        "Retry-After",
        int,
        OpenApiParameter.HEADER,
        description="Seconds to wait before the next attempt.",
        required=True,
        response=[429, 503],
    ),
    OpenApiParameter(
        "WWW-Authenticate", str, OpenApiParameter.HEADER, description="`Token`", required=True, response=[401]
    ),
]

# For endpoints that return 304 if the client's copy is current.
CONDITIONAL_HEADERS = [
    OpenApiParameter(
        "If-None-Match", str, OpenApiParameter.HEADER, description="The `ETag` of the response that you have."
    ),
    OpenApiParameter(
        "ETag",
        str,
        OpenApiParameter.HEADER,
        description="Identifies this version of the response. Send it as `If-None-Match` in the next request.",
        required=True,
        response=[200, 304],
    ),
]
UNMODIFIED = {
    HTTPStatus.NOT_MODIFIED.value: OpenApiResponse(description="The response that you have is still current.")
}


class AutoSchema(openapi.AutoSchema):
    def get_paginated_name(self, serializer_name: str) -> str:
        return f"{serializer_name}Page"


def import_schema_modules(endpoints: list[Endpoint], **kwargs: object) -> list[Endpoint]:
    """Import each app's schema.py, which describes its views. Only the document needs these imports."""
    autodiscover_modules("schema")
    return endpoints


def keep_long_paths(endpoints: list[Endpoint], **kwargs: object) -> list[Endpoint]:
    """Exclude the short paths from the document: they are aliases of the same views."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(LONG_PATHS)]


def complete(result: dict[str, Any], **kwargs: object) -> dict[str, Any]:
    """Add the error schemas, mark all response fields as required, and sort the operations."""
    schemas = result["components"]["schemas"]
    for name, schema in schemas.items():
        for field in schema.get("properties", {}).values():
            # Python's regular expressions differ from JavaScript's: for example, \w matches only ASCII there.
            field.pop("pattern", None)
        if "properties" in schema and not name.endswith("Request"):
            schema["required"] = list(schema["properties"])
    result["components"]["schemas"] = dict(sorted((schemas | ERROR_SCHEMAS).items()))

    def first_use(item: tuple[str, dict[str, Any]]) -> int:
        return min(position(operation) for operation in item[1].items())

    def position(operation: tuple[str, dict[str, Any]]) -> int:
        return OPERATIONS.index(operation[1]["operationId"])

    paths = sorted(result["paths"].items(), key=first_use)
    result["paths"] = {path: dict(sorted(item.items(), key=position)) for path, item in paths}
    return result


def describe(view: type[APIView], **operations: Callable[..., Any]) -> None:
    """Attach the descriptions to a view, so that the view module does not depend on drf-spectacular."""
    extend_schema_view(**operations)(view)


def operation(
    operation_id: str,
    summary: str,
    *,
    responses: dict[int, Any],
    sends: dict[str, Any] | None = None,
    returns: dict[str, Any] | None = None,
    conditional: bool = False,
    **options: Any,
) -> Callable[[View], View]:
    """Describe an operation: its responses, and an example request and response.

    Adds the responses that are common to all operations: 503, also 413 and 415 if there is a request body, and 304
    if the operation is conditional.
    """
    responses = responses | UNAVAILABLE | (UNMODIFIED if conditional else {})
    for status in responses.keys() & {200, 201}:
        responses[status] = OpenApiResponse(responses[status], HTTPStatus(status).phrase)
    examples = []
    if sends:
        responses |= BODY_REJECTED
        examples.append(OpenApiExample("Example request", sends, request_only=True))
    if returns:
        examples.append(OpenApiExample("Example response", returns, response_only=True))
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        responses=dict(sorted(responses.items())),
        examples=examples,
        parameters=[*RESPONSE_HEADERS, *(CONDITIONAL_HEADERS if conditional else [])],
        **options,
    )


def error(status: HTTPStatus, detail: str, description: str, schema: str = "Error", **more: str) -> dict[int, Any]:
    """Describe a status code whose response body is always the same."""
    example = OpenApiExample(status.phrase, {"detail": detail, **more})
    return {status.value: OpenApiResponse(_ref(schema), description, [example])}


def bad_request(schema: str = "", *refusals: Refusal, fields: dict[str, list[str]] | None = None) -> dict[int, Any]:
    """Describe 400: refusals by the domain's rules, unreadable bodies and invalid fields.

    The named schema lists the codes of these refusals as an enum. Their bodies are the examples.
    """
    examples = [OpenApiExample(refusal.code, refusal_body(refusal)) for refusal in refusals]
    bodies = []
    if refusals:
        ERROR_SCHEMAS[schema] = _refusal_schema(*map(refusal_body, refusals))
        bodies.append(schema)
    if fields:
        examples.append(OpenApiExample("an invalid field", fields))
        bodies += ["Error", "FieldErrors"]
    one_of_them = _ref(bodies[0]) if len(bodies) == 1 else {"anyOf": [_ref(body) for body in bodies]}
    return {HTTPStatus.BAD_REQUEST.value: OpenApiResponse(one_of_them, "Refused. Nothing has changed.", examples)}


def _refusal_schema(*bodies: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of bodies with a message and a code. All other properties are ids."""
    more = {name for body in bodies for name in body} - {"detail", "code"}
    return {
        "type": "object",
        "description": "An error message and a machine-readable code.",
        "properties": {
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": [body["code"] for body in bodies]},
            **{name: {"type": "integer"} for name in more},
        },
        "required": ["detail", "code"],
    }


def _ref(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


ERROR_SCHEMAS["TooManyAttempts"] = _refusal_schema({"code": "throttled"})
ERROR_SCHEMAS["Unavailable"] = _refusal_schema({"code": "unavailable"})

NEEDS_TOKEN = error(
    HTTPStatus.UNAUTHORIZED,
    "Authentication credentials were not provided.",
    "The token is missing or invalid.",
)
THROTTLED = error(
    HTTPStatus.TOO_MANY_REQUESTS,
    "Request was throttled. Expected available in 42 seconds.",
    "The rate limit is reached. Wait for the number of seconds in `Retry-After`.",
    "TooManyAttempts",
    code="throttled",
)
UNAVAILABLE = error(
    HTTPStatus.SERVICE_UNAVAILABLE,
    sentence(HTTPStatus.SERVICE_UNAVAILABLE),
    "The server is busy, or the database is unavailable. Wait for the number of seconds in `Retry-After`, then check "
    "whether the request took effect.",
    "Unavailable",
    code="unavailable",
)
BODY_REJECTED = error(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    sentence(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    "The request body is too large.",
) | error(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    'Unsupported media type "text/plain" in request.',
    "The request body is neither JSON nor a form.",
)
