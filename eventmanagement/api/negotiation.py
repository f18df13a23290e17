"""Content negotiation."""

from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

ANYTHING = "*/*"


class LenientNegotiation(DefaultContentNegotiation):
    """Falls back to the view's first renderer (in the API: JSON) instead of 406."""

    # REST framework passes a list, whatever its types say.
    def select_renderer(  # type: ignore[override]
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, Any]:
        if format_suffix is None and request.META.get("HTTP_ACCEPT", ANYTHING) == ANYTHING:
            # A shortcut for most clients, which accept anything.
            return renderers[0], renderers[0].media_type
        try:
            selected: tuple[BaseRenderer, Any] = super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
        return selected
