"""The base class of the domain's errors, which the API, the admin, commands and shells share.

The API's exception handler converts them to responses (api/exceptions.py).
"""

from math import ceil
from typing import Any


class Refusal(Exception):
    """A request breaks a rule of the domain. The API returns 400 with the message and the machine-readable code.

    A subclass defines ``code`` and ``message``; a message can also be passed for each instance. Keyword arguments
    are added to the response body.
    """

    code: str
    message: str

    def __init__(self, message: str | None = None, **data: Any) -> None:
        super().__init__(message or self.message)
        self.data = data


class TooManyAttempts(Refusal):
    """A rate limit has been reached. The API returns 429."""

    code = "throttled"

    def __init__(self, wait: float) -> None:
        """``wait`` is the number of seconds until the next attempt is allowed."""
        super().__init__(f"Request was throttled. Expected available in {ceil(wait)} seconds.")
        self.wait = wait
