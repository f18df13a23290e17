"""The WSGI application that gunicorn serves."""

import codecs
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventmanagement.settings")

django_application = get_wsgi_application()
# Django would import the URLs with the first request, in every worker anew.
get_resolver().url_patterns  # noqa: B018


def application(environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
    """Serve Django, and keep from it the charsets that it would fail on before any middleware.

    A body in another charset than UTF-8 becomes one of unknown type, which is refused where
    somebody reads it. (Django decodes the query string in the body's charset while it makes the
    request, and ``charset=zlib`` is a codec that decodes no text.)
    """
    if not _is_utf8(environ.get("CONTENT_TYPE", "")):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    return django_application(environ, start_response)


def _is_utf8(content_type: str) -> bool:
    try:
        _, parameters = parse_header_parameters(content_type)
        return codecs.lookup(parameters.get("charset", "utf-8")).name == "utf-8"
    except (LookupError, ValueError):
        return False
