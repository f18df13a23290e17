"""The middleware that serves static files."""

from os import PathLike
from pathlib import Path

from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise without its warning about a missing STATIC_ROOT.

    It is missing until collectstatic has run. Until then, static files are served directly from the packages.
    """

    def add_files(self, root: str | PathLike[str], prefix: str | None = None) -> None:
        if Path(root).is_dir():
            super().add_files(root, prefix)
