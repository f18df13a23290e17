"""LIKE on SQLite, which by itself ignores case only for ASCII letters."""

import re
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def ignore_case_beyond_ascii(connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """Replace the function behind LIKE on a new connection to SQLite. A receiver of ``connection_created``."""
    if connection.vendor == "sqlite":
        for arguments in (2, 3):
            connection.connection.create_function("like", arguments, like, deterministic=True)


def like(pattern: Any, text: Any, escape: str = "") -> bool | None:
    """Return whether the whole text matches the pattern of LIKE, ignoring case. NULL matches nothing."""
    if pattern is None or text is None:
        return None
    return _compile(str(pattern), escape).fullmatch(str(text)) is not None


@lru_cache(maxsize=64)
def _compile(pattern: str, escape: str) -> re.Pattern[str]:
    characters = iter(pattern)
    parts = []
    for character in characters:
        if character == escape:
            parts.append(re.escape(next(characters, "")))
        else:
            parts.append({"%": ".*?", "_": "."}.get(character) or re.escape(character))
    return re.compile("".join(parts), re.DOTALL | re.IGNORECASE)
