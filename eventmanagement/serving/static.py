"""The middleware that serves static files."""

from os import PathLike
from pathlib import Path

from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise, but a missing STATIC_ROOT is not an error.

    It is missing until collectstatic has run. Static files are then served directly from the packages.
    """

    def add_files(self, root: str | PathLike[str], prefix: str | None = None) -> None:
        if Path(root).is_dir():
            super().add_files(root, prefix)
