"""Static files with and without collectstatic. A warning fails a test."""

from contextlib import closing

import pytest
from django.core.management import call_command

CSS = "/static/eventmanagement/swagger.css"


@pytest.fixture
def static_root(settings, tmp_path):
    """Where collectstatic writes. The files there are scanned at the start, as in production."""
    settings.WHITENOISE_AUTOREFRESH = False
    settings.STATIC_ROOT = tmp_path / "staticfiles"
    return settings.STATIC_ROOT


@pytest.mark.parametrize("autorefresh", [True, False])
def test_files_are_served_without_collectstatic(client, settings, static_root, autorefresh):
    settings.WHITENOISE_AUTOREFRESH = autorefresh
    settings.WHITENOISE_USE_FINDERS = True

    with closing(client.get(CSS)) as response:
        assert response.status_code == 200


def test_collected_files_are_served(client, settings, static_root):
    call_command("collectstatic", interactive=False, verbosity=0)
    settings.WHITENOISE_USE_FINDERS = False

    with closing(client.get(CSS)) as response:
        assert response.status_code == 200
