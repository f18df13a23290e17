"""Middleware of the admin's pages, kept from the API, whose clients send a token and no cookie."""

from collections.abc import Awaitable
from functools import cached_property

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
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
    """Sessions, for pages alone."""


class AdminCsrfMiddleware(SkipForApi, CsrfViewMiddleware):
    """The protection of forms, for pages alone: the API's views are exempt from it anyway."""


class AdminAuthenticationMiddleware(SkipForApi, AuthenticationMiddleware):
    """The user of the session, for pages alone."""


class AdminMessageMiddleware(SkipForApi, MessageMiddleware):
    """Messages, for pages alone."""


class PagePolicies(CSPMiddleware):
    """What pages may load. For the API's answers it is written once, which takes as long as a query."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not is_api_request(request):
            return super().process_response(request, response)
        response.headers[HEADER] = self.policy
        return response

    @cached_property
    def policy(self) -> str:
        return build_policy()
