"""The WSGI application that gunicorn serves."""

import codecs
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventmanagement.settings")

# In characters. A multipart boundary has at most 70 (RFC 2046), and Django needs quadratic time to parse a long header.
MAX_CONTENT_TYPE_LENGTH = 255

django_application = get_wsgi_application()
# Import the URLs before gunicorn forks. Otherwise every worker would import them on its first request.
get_resolver().url_patterns  # noqa: B018


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Call Django, after removing header values that would make it fail or parse slowly before any middleware runs.

    A Content-Type that is too long or has a charset other than UTF-8 is replaced by application/octet-stream. A view
    of the API that reads such a body returns 415. (Django decodes the query string with the charset of the body, and
    ``charset=zlib`` is a codec that can't decode text.)
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if len(content_type) > MAX_CONTENT_TYPE_LENGTH or not _is_utf8(content_type):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    cookies = environ.get("HTTP_COOKIE", "")
    if "\\" in cookies:
        # Python before 3.11.10 and 3.12.6 needs quadratic time to unescape a cookie (CVE-2024-7592). Cookies with
        # escapes are dropped; the project's own cookies have none.
        environ["HTTP_COOKIE"] = ";".join(cookie for cookie in cookies.split(";") if "\\" not in cookie)
    return django_application(environ, start_response)


def _is_utf8(content_type: str) -> bool:
    try:
        _, parameters = parse_header_parameters(content_type)
        return codecs.lookup(parameters.get("charset", "utf-8")).name == "utf-8"
    except (LookupError, ValueError):
        return False
