"""Password hashers that compute one hash at a time in each process.

A hash costs a core a fifth of a second by intention. Of many logins at once, each process computes
one, and the others wait: so they leave the processor to other requests.
"""

import threading
from typing import Any

from django.contrib.auth import hashers

from eventmanagement.database.errors import Unavailable

# Characters: far beyond any passphrase, and little enough to hash.
LONGEST_PASSWORD = 4096
# Seconds that a login or a sign-up waits for its turn. The others in front of it take a fifth of a second each.
PATIENCE = 3

hashing_slot = threading.BoundedSemaphore(1)


class OneAtATimeMixin(hashers.BasePasswordHasher):
    """Let one thread of the process hash, and refuse passwords that are longer than any that was set."""

    def encode(self, password: str, salt: str, *cost: Any, **named_cost: Any) -> str:
        """Hash as the hasher does. Raises Unavailable if the turn does not come within PATIENCE seconds."""
        if not hashing_slot.acquire(timeout=PATIENCE):
            raise Unavailable("too many passwords are hashed at once")
        try:
            return super().encode(password, salt, *cost, **named_cost)
        finally:
            hashing_slot.release()

    def verify(self, password: str, encoded: str) -> bool:
        return len(password) <= LONGEST_PASSWORD and super().verify(password, encoded)


# django-stubs lacks Django's.
class ScryptPasswordHasher(OneAtATimeMixin, hashers.ScryptPasswordHasher):  # type: ignore[misc, name-defined]
    """Django's, one hash at a time."""


class PBKDF2PasswordHasher(OneAtATimeMixin, hashers.PBKDF2PasswordHasher):
    """Django's, one hash at a time."""
