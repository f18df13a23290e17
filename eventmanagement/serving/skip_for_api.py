"""Django middleware that is skipped for the API, whose clients use tokens and no cookies."""

from collections.abc import Awaitable

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.deprecation import MiddlewareMixin

from eventmanagement.serving.middleware import is_api_request


class SkipForApi(MiddlewareMixin):
    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        return self.get_response(request) if is_api_request(request) else super().__call__(request)


class AdminSessionMiddleware(SkipForApi, SessionMiddleware):
    """SessionMiddleware, skipped for the API."""


class AdminCsrfMiddleware(SkipForApi, CsrfViewMiddleware):
    """CsrfViewMiddleware, skipped for the API, whose views are exempt from CSRF protection anyway."""


class AdminAuthenticationMiddleware(SkipForApi, AuthenticationMiddleware):
    """AuthenticationMiddleware, skipped for the API."""


class AdminMessageMiddleware(SkipForApi, MessageMiddleware):
    """MessageMiddleware, skipped for the API."""
