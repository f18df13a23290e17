"""Choosing how to answer."""

from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

ANYTHING = "*/*"


class LenientNegotiation(DefaultContentNegotiation):
    """Whoever accepts nothing that there is gets the first there is, in the API JSON, rather than a refusal."""

    # REST framework passes a list, whatever its types say.
    def select_renderer(  # type: ignore[override]
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, Any]:
        if format_suffix is None and request.META.get("HTTP_ACCEPT", ANYTHING) == ANYTHING:
            # Most clients: what they get needs no search.
            return renderers[0], renderers[0].media_type
        try:
            selected: tuple[BaseRenderer, Any] = super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
        return selected
