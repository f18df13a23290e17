"""The error pages of the admin panel. Other pages have Django's plain error pages, and the API has JSON."""

from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import csrf, defaults

ADMIN = "/admin/"
TEMPLATE = "admin/error.html"

MESSAGES = {
    HTTPStatus.BAD_REQUEST: "The address or the form contains something that this page can't process.",
    HTTPStatus.FORBIDDEN: "Your account doesn't have permission to do this.",
    HTTPStatus.NOT_FOUND: "There is no page at this address. Its content may have been deleted.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "An error occurred on the server. It has been logged.",
}
FORM_EXPIRED = "This form has expired, or your browser blocks cookies. Go back, reload the page and try again."


def is_admin_request(request: HttpRequest) -> bool:
    return request.path_info.startswith(ADMIN)


def admin_error(request: HttpRequest, status: HTTPStatus, message: str | None = None) -> HttpResponse:
    """Return a page of the admin with the error, and with the navigation if the user is logged in."""
    # An error in a middleware can occur before the request has a user.
    context = admin.site.each_context(request) if hasattr(request, "user") else {}
    page = render_to_string(TEMPLATE, context | error_context(status, message), request)
    return HttpResponse(page, status=status)


def error_context(status: HTTPStatus, message: str | None = None) -> dict[str, Any]:
    return {
        "title": status.phrase,
        "message": message or MESSAGES[status],
        "site_header": admin.site.site_header,
        "site_title": admin.site.site_title,
    }


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_admin_request(request):
        return defaults.bad_request(request, exception)
    # The message of any other exception may be meant for the log only.
    message = str(exception) if isinstance(exception, BadRequest) else None
    return admin_error(request, HTTPStatus.BAD_REQUEST, message)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_admin_request(request):
        return defaults.permission_denied(request, exception)
    return admin_error(request, HTTPStatus.FORBIDDEN)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if not is_admin_request(request):
        return csrf.csrf_failure(request, reason)
    return admin_error(request, HTTPStatus.FORBIDDEN, FORM_EXPIRED)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_admin_request(request):
        return defaults.page_not_found(request, exception)
    return admin_error(request, HTTPStatus.NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the page without the user and the navigation, which need the database."""
    if not is_admin_request(request):
        return defaults.server_error(request)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return HttpResponse(render_to_string(TEMPLATE, error_context(status)), status=status)
