"""Middleware of the admin's pages, kept from the API, whose clients send a token and no cookie."""

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from eventmanagement.middleware import of_the_api


class PagesOnly:
    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request) if of_the_api(request) else super().__call__(request)


class PageSessions(PagesOnly, SessionMiddleware):
    """Sessions, for pages alone."""


class PageForms(PagesOnly, CsrfViewMiddleware):
    """The protection of forms, for pages alone: the API's views are exempt from it anyway."""


class PageUsers(PagesOnly, AuthenticationMiddleware):
    """The user of the session, for pages alone."""


class PageMessages(PagesOnly, MessageMiddleware):
    """Messages, for pages alone."""
