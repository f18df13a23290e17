"""What the OpenAPI document says beyond what views and serializers say of themselves."""

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
# Its path, that path as a pattern, the method, and the view.
Endpoint = tuple[str, str, str, Callable[..., Any]]

LONG_PATHS = ("/api/authentication/", "/api/event/", "/api/reservation/")

# The order of a first use. An operation that is missing here stops the document from being made.
OPERATIONS = [
    "signup",
    "login",
    "logout",
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

# The bodies of errors; refused() adds those of the domain's refusals.
ERRORS: dict[str, dict[str, Any]] = {
    "Error": {
        "type": "object",
        "description": "A sentence that says what was wrong.",
        "properties": {"detail": {"type": "string"}},
        "required": ["detail"],
    },
    "FieldErrors": {
        "type": "object",
        "description": "Sentences for each field that was wrong; what no single field is to blame for is "
        "under `non_field_errors`.",
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
    },
}


HEADERS = [
    OpenApiParameter(
        "Retry-After", int, OpenApiParameter.HEADER, description="Seconds to wait.", required=True, response=[429, 503]
    ),
    OpenApiParameter(
        "WWW-Authenticate", str, OpenApiParameter.HEADER, description="`Token`", required=True, response=[401]
    ),
]

# A read that answers 304 to whoever has the answer already.
CONDITIONAL = [
    OpenApiParameter(
        "If-None-Match", str, OpenApiParameter.HEADER, description="The `ETag` of the answer that you have."
    ),
    OpenApiParameter(
        "ETag",
        str,
        OpenApiParameter.HEADER,
        description="Changes with the answer; send it as `If-None-Match` next time.",
        required=True,
        response=[200, 304],
    ),
]
UNCHANGED = {HTTPStatus.NOT_MODIFIED.value: OpenApiResponse(description="What you have is still right.")}


class AutoSchema(openapi.AutoSchema):
    def get_paginated_name(self, serializer_name: str) -> str:
        return f"{serializer_name}Page"


def read_descriptions(endpoints: list[Endpoint], **kwargs: object) -> list[Endpoint]:
    """Let each app's schema.py describe its views; nobody but the document needs them, or their weight."""
    autodiscover_modules("schema")
    return endpoints


def keep_long_paths(endpoints: list[Endpoint], **kwargs: object) -> list[Endpoint]:
    """Leave the short paths out of the document: they are second names of the same views."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(LONG_PATHS)]


def complete(result: dict[str, Any], **kwargs: object) -> dict[str, Any]:
    """Add the bodies of errors, promise every field of an answer, and sort by the order of use."""
    schemas = result["components"]["schemas"]
    for name, schema in schemas.items():
        for field in schema.get("properties", {}).values():
            # A pattern of Python's: JavaScript's \w, for one, has no letters beyond ASCII.
            field.pop("pattern", None)
        if "properties" in schema and not name.endswith("Request"):
            schema["required"] = list(schema["properties"])
    result["components"]["schemas"] = dict(sorted((schemas | ERRORS).items()))

    def first_use(item: tuple[str, dict[str, Any]]) -> int:
        return min(position(operation) for operation in item[1].items())

    def position(operation: tuple[str, dict[str, Any]]) -> int:
        return OPERATIONS.index(operation[1]["operationId"])

    paths = sorted(result["paths"].items(), key=first_use)
    result["paths"] = {path: dict(sorted(item.items(), key=position)) for path, item in paths}
    return result


def describe(view: type[APIView], **operations: Callable[..., Any]) -> None:
    """Say what a view's methods do; the view itself knows nothing of the document."""
    view.schema = AutoSchema()
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
    """Describe an operation: its own answers, with an example of what is sent and returned.

    What every operation may answer is added: 503, and 413 and 415 where there is a body to read;
    304 where the read is conditional.
    """
    responses = responses | UNAVAILABLE | (UNCHANGED if conditional else {})
    for status in responses.keys() & {200, 201}:
        responses[status] = OpenApiResponse(responses[status], HTTPStatus(status).phrase)
    examples = []
    if sends:
        responses |= UNREADABLE
        examples.append(OpenApiExample("A first try", sends, request_only=True))
    if returns:
        examples.append(OpenApiExample("Its answer", returns, response_only=True))
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        responses=dict(sorted(responses.items())),
        examples=examples,
        parameters=[*HEADERS, *(CONDITIONAL if conditional else [])],
        **options,
    )


def error(status: HTTPStatus, detail: str, description: str, schema: str = "Error", **more: str) -> dict[int, Any]:
    """Describe the one body that this status has."""
    example = OpenApiExample(status.phrase, {"detail": detail, **more})
    return {status.value: OpenApiResponse(_ref(schema), description, [example])}


def refused(schema: str = "", *refusals: Refusal, fields: dict[str, list[str]] | None = None) -> dict[int, Any]:
    """Describe 400: what the rules of the domain refuse, and what can't be read or is wrong in a field.

    The schema gets the codes of these refusals as its enum, and their bodies are the examples.
    """
    examples = [OpenApiExample(refusal.code, refusal_body(refusal)) for refusal in refusals]
    bodies = []
    if refusals:
        ERRORS[schema] = _refusal_schema(*map(refusal_body, refusals))
        bodies.append(schema)
    if fields:
        examples.append(OpenApiExample("a field is wrong", fields))
        bodies += ["Error", "FieldErrors"]
    one_of_them = _ref(bodies[0]) if len(bodies) == 1 else {"anyOf": [_ref(body) for body in bodies]}
    return {HTTPStatus.BAD_REQUEST.value: OpenApiResponse(one_of_them, "Refused; nothing has changed.", examples)}


def _refusal_schema(*bodies: dict[str, Any]) -> dict[str, Any]:
    """Describe bodies with a sentence and a code; whatever else one carries is the id of a row."""
    more = {name for body in bodies for name in body} - {"detail", "code"}
    return {
        "type": "object",
        "description": "A sentence for people and a code for programs to branch on.",
        "properties": {
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": [body["code"] for body in bodies]},
            **{name: {"type": "integer"} for name in more},
        },
        "required": ["detail", "code"],
    }


def _ref(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


ERRORS["TooManyAttempts"] = _refusal_schema({"code": "throttled"})
ERRORS["Unavailable"] = _refusal_schema({"code": "unavailable"})

NEEDS_TOKEN = error(
    HTTPStatus.UNAUTHORIZED,
    "Authentication credentials were not provided.",
    "There is no token, or it is not valid (any more).",
)
THROTTLED = error(
    HTTPStatus.TOO_MANY_REQUESTS,
    "Request was throttled. Expected available in 42 seconds.",
    "Too many attempts; wait as long as `Retry-After` says.",
    "TooManyAttempts",
    code="throttled",
)
UNAVAILABLE = error(
    HTTPStatus.SERVICE_UNAVAILABLE,
    sentence(HTTPStatus.SERVICE_UNAVAILABLE),
    "The database is away or busy. Wait as long as `Retry-After` says, then read whether it happened.",
    "Unavailable",
    code="unavailable",
)
UNREADABLE = error(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    sentence(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    "The body is larger than the server reads.",
) | error(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    'Unsupported media type "text/plain" in request.',
    "The body is neither JSON nor a form.",
)
