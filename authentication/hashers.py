"""Password hashers that compute one hash at a time in each process.

A password hash deliberately takes about 0.2 seconds of CPU time. When many users log in at once, each process
computes one hash at a time and the other logins wait, which leaves CPU time for other requests.
"""

import threading
from typing import Any

from django.contrib.auth import hashers

from eventmanagement.database.errors import Unavailable

# In characters. Longer than any passphrase, and still cheap to hash.
MAX_PASSWORD_LENGTH = 4096
# Seconds that a login or a sign-up waits for the semaphore. Each one ahead of it takes about 0.2 seconds.
HASH_WAIT_TIMEOUT = 3

hashing_slot = threading.BoundedSemaphore(1)


class HashSemaphoreMixin(hashers.BasePasswordHasher):
    """Let only one thread of the process hash at a time, and reject passwords that are too long without hashing."""

    def encode(self, password: str, salt: str, *cost: Any, **named_cost: Any) -> str:
        """Return the hash. Raises Unavailable if the semaphore is not free within HASH_WAIT_TIMEOUT seconds."""
        if not hashing_slot.acquire(timeout=HASH_WAIT_TIMEOUT):
            raise Unavailable("too many passwords are waiting to be hashed")
        try:
            return super().encode(password, salt, *cost, **named_cost)
        finally:
            hashing_slot.release()

    def verify(self, password: str, encoded: str) -> bool:
        return len(password) <= MAX_PASSWORD_LENGTH and super().verify(password, encoded)


# django-stubs lacks Django's.
class ScryptPasswordHasher(HashSemaphoreMixin, hashers.ScryptPasswordHasher):  # type: ignore[misc, name-defined]
    """Django's scrypt hasher, one hash at a time."""


class PBKDF2PasswordHasher(HashSemaphoreMixin, hashers.PBKDF2PasswordHasher):
    """Django's PBKDF2 hasher, one hash at a time."""
