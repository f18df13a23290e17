"""How the domain says no, whoever asks: the API, the admin, a command or a shell.

The API's exception handler makes responses of these (api/exceptions.py).
"""

from math import ceil
from typing import Any


class Refusal(Exception):
    """A rule of the domain refuses: a sentence for people, a code for programs, and what else a client needs.

    A subclass gives the ``code``, and the ``message`` unless each refusal has its own.
    """

    code: str
    message: str

    def __init__(self, message: str | None = None, **data: Any) -> None:
        super().__init__(message or self.message)
        self.data = data


class TooManyAttempts(Refusal):
    """A rate has no attempt left."""

    code = "throttled"

    def __init__(self, wait: float) -> None:
        """Take the seconds until the rate has attempts again."""
        super().__init__(f"Request was throttled. Expected available in {ceil(wait)} seconds.")
        self.wait = wait
