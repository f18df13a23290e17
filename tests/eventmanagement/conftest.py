import os
import runpy
from types import SimpleNamespace

import pytest
from django.conf import settings

from tests.postgres import SETTINGS


@pytest.fixture
def read(monkeypatch):
    """Load a settings file with only these environment variables. Restores the environment afterwards."""
    # gunicorn.conf.py sets a variable for the application.
    monkeypatch.setattr(os, "environ", {**os.environ})

    def run(path="eventmanagement/settings.py", **environment):
        for name in [*SETTINGS, "DATABASE_URL", "SECRET_KEY", "WEB_CONCURRENCY", "PORT"]:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return SimpleNamespace(**runpy.run_path(str(settings.BASE_DIR / path)))

    return run
