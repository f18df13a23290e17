"""Helpers and hooks for the OpenAPI document."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from django.utils.module_loading import autodiscover_modules
from drf_spectacular import openapi
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.exceptions import (
    AuthenticationFailed,
    NotAuthenticated,
    NotFound,
    ParseError,
    PermissionDenied,
    Throttled,
    UnsupportedMediaType,
)
from rest_framework.views import APIView

from eventmanagement.api.exceptions import PreconditionFailed, refusal_body
from eventmanagement.refusals import Refusal
from eventmanagement.serving.middleware import error_body

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
    "event_cancel",
    "event_attendees",
    "event_attendee_remove",
    "event_check_in",
    "event_check_in_undo",
    "event_waitlist",
    "event_calendar",
    "reservation_create",
    "reservation_list",
    "reservation_retrieve",
    "reservation_cancel",
    "calendar_create",
    "calendar_delete",
    "calendar_feed",
    "waitlist_join",
    "waitlist_list",
    "waitlist_retrieve",
    "waitlist_leave",
]

# The schemas of error bodies. error_schema() adds one for each code.
ERROR_SCHEMAS: dict[str, dict[str, Any]] = {
    "FieldErrors": {
        "type": "object",
        "description": "Error messages for each invalid field. Errors that belong to no single field are under "
        "`non_field_errors`.",
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
    },
}
# The error code for each of these statuses. Other statuses have several codes.
CODES: dict[int, str] = {
    HTTPStatus.FORBIDDEN: PermissionDenied.default_code,
    HTTPStatus.NOT_FOUND: NotFound.default_code,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: UnsupportedMediaType.default_code,
    HTTPStatus.TOO_MANY_REQUESTS: Throttled.default_code,
}

# The order of the parameters of an operation.
PARAMETER_LOCATIONS = ["path", "query", "header"]
MAX_INT32 = 2**31 - 1
# drf-spectacular adds this alternative to a string that has a format, such as an email address, and may be empty.
EMPTY_STRING = {"type": "string", "maxLength": 0}

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
# For endpoints that create, change or delete a resource that has an ETag.
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the version that you have. If it is not the current version, nothing changes. `*` means "
    "any version.",
)
WRITTEN_ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    description="Identifies the version that was written. Send it as `If-Match` with the next change.",
    required=True,
    response=[200, 201],
)
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


def parameter_position(parameter: dict[str, Any]) -> int:
    """Return the sort key of a parameter. Query parameters keep the order of the filters, followed by the page."""
    return PARAMETER_LOCATIONS.index(parameter["in"])


def complete(result: dict[str, Any], **kwargs: object) -> dict[str, Any]:
    """Add the error schemas, mark all response fields as required, and sort the operations."""
    schemas = result["components"]["schemas"]
    for name, schema in schemas.items():
        for field in schema.get("properties", {}).values():
            simplify(field)
        if "properties" in schema and not name.endswith("Request"):
            schema["required"] = list(schema["properties"])
    result["components"]["schemas"] = dict(sorted((schemas | ERROR_SCHEMAS).items()))

    for item in result["paths"].values():
        for described in item.values():
            # Without this key, some tools apply a default instead of sending no token.
            described.setdefault("security", [])
            for parameter in described.get("parameters", []):
                simplify(parameter["schema"])
                if "description" in parameter:
                    # drf-spectacular ends the description of a choice with empty lines.
                    parameter["description"] = parameter["description"].strip()

    def first_use(item: tuple[str, dict[str, Any]]) -> int:
        return min(position(operation) for operation in item[1].items())

    def position(operation: tuple[str, dict[str, Any]]) -> int:
        return OPERATIONS.index(operation[1]["operationId"])

    paths = sorted(result["paths"].items(), key=first_use)
    result["paths"] = {path: dict(sorted(item.items(), key=position)) for path, item in paths}
    return result


def simplify(schema: dict[str, Any]) -> None:
    """Change the schema of a field or a parameter, so that tools for other languages understand it."""
    # Python's regular expressions differ from JavaScript's. For example, JavaScript's \w matches only ASCII.
    schema.pop("pattern", None)
    # drf-spectacular uses this keyword for its example of a page. OpenAPI 3.1 has deprecated it.
    schema.pop("example", None)
    # A generator for TypeScript would require a field with a default in requests, and a PATCH applies no defaults.
    schema.pop("default", None)
    if schema.get("oneOf", [])[1:] == [EMPTY_STRING]:
        # A string that may be empty. An empty string does not have the format.
        string, _ = schema.pop("oneOf")
        schema.update({key: value for key, value in string.items() if key not in ("format", "minLength")})
    if "integer" in schema.get("type", []):
        # Ids need 64 bits, so this is the default.
        schema["format"] = "int32" if schema.get("maximum") == MAX_INT32 else "int64"


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
    files: Mapping[str, str] | None = None,
    conditional: bool = False,
    parameters: Sequence[OpenApiParameter] = (),
    headers: Sequence[OpenApiParameter] = (),
    **options: Any,
) -> Callable[[View], View]:
    """Describe an operation: its responses, and an example request and response.

    Adds the responses that are common to all operations: 503, also 413 and 415 if there is a request body, and 304
    if the operation is conditional. ``files`` has an example of the 200 response for each media type other than JSON.
    ``parameters`` are those of the query, and ``headers`` are additional headers of requests or responses.
    """
    responses = responses | UNAVAILABLE | (UNMODIFIED if conditional else {})
    if HTTPStatus.BAD_REQUEST in responses:
        responses[HTTPStatus.BAD_REQUEST.value] = responses[HTTPStatus.BAD_REQUEST].describe(has_body=bool(sends))
    for status in responses.keys() & {200, 201}:
        responses[status] = OpenApiResponse(responses[status], HTTPStatus(status).phrase)
    examples = []
    if sends:
        responses |= BODY_REJECTED
        examples.append(OpenApiExample("Example request", sends, request_only=True))
    if returns:
        examples.append(OpenApiExample("Example response", returns, response_only=True))
    described: dict[Any, Any] = {**responses}
    for media_type, text in (files or {}).items():
        described[HTTPStatus.OK.value, media_type] = OpenApiResponse(OpenApiTypes.STR, HTTPStatus.OK.phrase)
        examples.append(OpenApiExample("Example file", text, media_type=media_type, response_only=True))
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        responses=dict(sorted(described.items(), key=response_position)),
        examples=examples,
        parameters=[*parameters, *RESPONSE_HEADERS, *(CONDITIONAL_HEADERS if conditional else []), *headers],
        **options,
    )


def response_position(item: tuple[int | tuple[int, str], Any]) -> tuple[int, str]:
    """Return the sort key of a response: its status, then its media type. JSON comes first."""
    key, _ = item
    return key if isinstance(key, tuple) else (key, "")


def error(status: HTTPStatus, detail: str, description: str, code: str | None = None) -> dict[int, Any]:
    """Describe a status code whose error body is always the same. By default, the status defines the error's code."""
    return errors(status, description, {"detail": detail, "code": code or CODES[status]})


def errors(status: HTTPStatus, description: str, *bodies: dict[str, Any]) -> dict[int, Any]:
    """Describe a status code with these error bodies, which have different codes."""
    examples = [OpenApiExample(body["code"], body) for body in bodies]
    return {status.value: OpenApiResponse(error_union(*bodies), description, examples)}


@dataclass
class BadRequest:
    """The description of 400: broken business rules, a request that can't be read, and invalid fields."""

    name: str
    refusals: tuple[Refusal, ...]
    fields: dict[str, list[str]] | None

    def describe(self, has_body: bool) -> OpenApiResponse:
        """Return the response. The code parse_error is only for operations with a request body."""
        bodies = [refusal_body(refusal) for refusal in self.refusals]
        examples = [OpenApiExample(body["code"], body) for body in bodies]
        if self.fields:
            bodies += [UNREADABLE_BODY] if has_body else []
            bodies.append(error_body(HTTPStatus.BAD_REQUEST))
            examples.append(OpenApiExample("an invalid field", self.fields))
        schema = error_union(*bodies)
        if self.name and len(bodies) > 1:
            ERROR_SCHEMAS[self.name] = schema
            schema = _ref(self.name)
        if self.fields:
            schema = {"anyOf": [schema, _ref("FieldErrors")]}
        return OpenApiResponse(schema, "Refused. Nothing has changed.", examples)


def bad_request(
    name: str = "", *refusals: Refusal, fields: dict[str, list[str]] | None = None
) -> dict[int, BadRequest]:
    """Describe 400: broken business rules, and invalid fields if ``fields`` has an example of them.

    If the errors have several codes, their schema gets this name.
    """
    return {HTTPStatus.BAD_REQUEST.value: BadRequest(name, refusals, fields)}


def error_union(*bodies: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows each of these error bodies. Their code distinguishes them."""
    refs = {body["code"]: _ref(error_schema(body)) for body in bodies}
    if len(refs) == 1:
        return next(iter(refs.values()))
    mapping = {code: ref["$ref"] for code, ref in refs.items()}
    return {"oneOf": list(refs.values()), "discriminator": {"propertyName": "code", "mapping": mapping}}


def error_schema(body: dict[str, Any]) -> str:
    """Add the schema of error bodies with this code, and return its name. All other properties are ids."""
    code: str = body["code"]
    name = code.title().replace("_", "").removesuffix("Error") + "Error"
    ids = {key: {"type": "integer", "format": "int64"} for key in body if key not in ("detail", "code")}
    ERROR_SCHEMAS[name] = {
        "type": "object",
        "description": f"An error with the code `{code}`.",
        "properties": {"detail": {"type": "string"}, "code": {"type": "string", "const": code}, **ids},
        "required": ["detail", "code", *ids],
    }
    return name


def _ref(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


UNREADABLE_BODY = {"detail": "JSON parse error - Expecting value: line 1 column 1 (char 0)"} | {
    "code": ParseError.default_code
}
NEEDS_TOKEN = errors(
    HTTPStatus.UNAUTHORIZED,
    "The token is missing or invalid.",
    {"detail": NotAuthenticated.default_detail, "code": NotAuthenticated.default_code},
    {"detail": "The token is invalid. Log in to get a new one.", "code": AuthenticationFailed.default_code},
)
PRECONDITION_FAILED = error(
    HTTPStatus.PRECONDITION_FAILED,
    PreconditionFailed.default_detail,
    "The current version does not match `If-Match`. Nothing has changed.",
    PreconditionFailed.default_code,
)
THROTTLED = error(
    HTTPStatus.TOO_MANY_REQUESTS,
    "Request was throttled. Expected available in 42 seconds.",
    "The rate limit is reached. Wait for the number of seconds in `Retry-After`.",
)
UNAVAILABLE = errors(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The server is busy, or the database is unavailable. Wait for the number of seconds in `Retry-After`, then check "
    "whether the request took effect.",
    error_body(HTTPStatus.SERVICE_UNAVAILABLE),
)
BODY_REJECTED = errors(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "The request body is too large.",
    error_body(HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
) | error(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    'Unsupported media type "text/plain" in request.',
    "The request body is neither JSON nor a form.",
)
