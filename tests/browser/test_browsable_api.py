"""The browsable API is enabled in development only."""

import os
import subprocess
import sys

import pytest
from csp.constants import SELF, UNSAFE_INLINE
from django.conf import settings
from playwright.sync_api import expect
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer

from event.views import EventViewSet
from reservation.views import ReservationViewSet

RENDERERS = [
    "from django.conf import settings",
    "print(*settings.REST_FRAMEWORK['DEFAULT_RENDERER_CLASSES'])",
]


@pytest.mark.parametrize(("debug", "there"), [("true", True), ("false", False)])
def test_browsable_api_is_for_development(debug, there):
    response = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "--command", "\n".join(RENDERERS)],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DEBUG": debug},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ("BrowsableAPIRenderer" in response.stdout) == there


def test_browsable_api_brings_its_own_assets(visit, event, monkeypatch, settings):
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"] | {"style-src": [SELF, UNSAFE_INLINE]}
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives}
    for view in (EventViewSet, ReservationViewSet):
        monkeypatch.setattr(view, "renderer_classes", [JSONRenderer, BrowsableAPIRenderer])

    visit.page.goto("/api/event/events/")
    expect(visit.page.get_by_role("heading", name="Event List")).to_be_visible()
    visit.page.goto("/api/reservation/reservations/")
    expect(visit.page.locator(".response-info")).to_contain_text("Authentication credentials were not provided.")

    assert visit.refusals == [401]
