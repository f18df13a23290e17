"""The view that serves the OpenAPI document."""

from functools import cache
from hashlib import blake2b
from threading import Lock

from django.conf import settings
from django.http import HttpResponse, HttpResponseNotModified
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from eventmanagement.api.mixins import etag_matches

# drf-spectacular fails when two threads generate their first document at the same time.
generation_lock = Lock()


class SchemaView(APIView):
    """The OpenAPI document as YAML or JSON.

    The document is the same for every request, and generating it takes 20 ms. So each process caches it per
    renderer (YAML or JSON). ``?format=json`` or ``?format=yaml`` selects the format, instead of the Accept header.
    """

    renderer_classes = SpectacularAPIView.renderer_classes

    def get_renderers(self) -> list[BaseRenderer]:
        renderers = super().get_renderers()
        asked = self.request.query_params.get("format")
        # The plain media types come last. Browsers show them, but download the others.
        if asked is None:
            return renderers
        # The response to an unknown format is an error, which is JSON as in the API.
        return [renderer for renderer in reversed(renderers) if renderer.format == asked] or [JSONRenderer()]

    def get(self, request: Request) -> HttpResponse:
        renderer = request.accepted_renderer
        if request.query_params.get("format", renderer.format) != renderer.format:
            raise ValidationError({"format": ["Choose json or yaml."]})
        with generation_lock:
            # mypy wrongly requires that instances of the renderer are hashable; the argument is a class.
            content, tag = render_document(type(renderer))  # type: ignore[arg-type]
        if etag_matches(request, tag):
            response: HttpResponse = HttpResponseNotModified()
        else:
            charset = f"; charset={renderer.charset}" if renderer.charset else ""
            response = HttpResponse(content, content_type=f"{renderer.media_type}{charset}")
            filename = f"{settings.SPECTACULAR_SETTINGS['TITLE']}.{renderer.format}"
            response["Content-Disposition"] = f'inline; filename="{filename}"'
        response["ETag"] = tag
        response["Cache-Control"] = "no-cache"
        return response


@cache
def render_document(renderer_class: type[BaseRenderer]) -> tuple[bytes, str]:
    """Generate the document. Returns its bytes and its ETag."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    content = renderer_class().render(document, renderer_class.media_type, {})
    return content, f'"{blake2b(content, digest_size=16).hexdigest()}"'
