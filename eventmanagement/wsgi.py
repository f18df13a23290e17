"""The WSGI application that gunicorn serves."""

import codecs
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventmanagement.settings")

# Characters. A multipart boundary has 70 at most (RFC 2046); Django parses a long one in quadratic time.
LONGEST_CONTENT_TYPE = 255

django_application = get_wsgi_application()
# Django would import the URLs with the first request, in every worker anew.
get_resolver().url_patterns  # noqa: B018


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve Django, and keep from it the headers that it would fail on, or parse slowly, before any middleware.

    A body in another charset than UTF-8 becomes one of unknown type, which is refused where
    somebody reads it. (Django decodes the query string in the body's charset while it makes the
    request, and ``charset=zlib`` is a codec that decodes no text.) So does one whose type is too long.
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if len(content_type) > LONGEST_CONTENT_TYPE or not _is_utf8(content_type):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    cookies = environ.get("HTTP_COOKIE", "")
    if "\\" in cookies:
        # Python before 3.11.10 and 3.12.6 takes quadratic time to unescape a cookie (CVE-2024-7592). None of
        # the project's own cookies has an escape.
        environ["HTTP_COOKIE"] = ";".join(cookie for cookie in cookies.split(";") if "\\" not in cookie)
    return django_application(environ, start_response)


def _is_utf8(content_type: str) -> bool:
    try:
        _, parameters = parse_header_parameters(content_type)
        return codecs.lookup(parameters.get("charset", "utf-8")).name == "utf-8"
    except (LookupError, ValueError):
        return False
