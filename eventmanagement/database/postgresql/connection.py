"""A psycopg connection that never waits for the server without a limit."""

from typing import Any, TypeVar

import psycopg
from django.conf import settings
from psycopg.abc import PQGen
from psycopg.errors import Diagnostic, _WaitTimeout

Result = TypeVar("Result")

# In seconds: how often a wait checks for Ctrl-C. psycopg's own default.
INTERVAL = 0.1


class Connection(psycopg.Connection[Any]):
    """A connection that closes itself and raises OperationalError when the result of a statement is uncertain.

    There are two cases. In the first, the server sends nothing for ``wait_timeout`` seconds: it is frozen, or the
    network is down. In the second, a commit was cancelled while it waited for the synchronous standby. PostgreSQL then
    reports success with a warning, but the commit exists only on this server and is lost if the standby takes over.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # In seconds. None means no limit, for statements without a statement timeout, such as those of migrations.
        self.wait_timeout: float | None = settings.DATABASE_WAIT
        # Set to False when prepared statements don't work (base.py).
        self.may_prepare = True
        self._is_unreplicated = False
        self.add_notice_handler(self._handle_notice)

    def wait(self, gen: PQGen[Result], interval: float = INTERVAL, timeout: float | None = None) -> Result:
        limit = self.wait_timeout if timeout is None else timeout
        try:
            result = super().wait(gen, interval, limit)
        except _WaitTimeout:
            if timeout is not None:
                # psycopg's own timeout, which it handles itself.
                raise
            self.close()
            raise psycopg.OperationalError(f"the server did not respond within {limit:g} seconds") from None
        if self._is_unreplicated:
            self.close()
            raise psycopg.OperationalError("a commit was cancelled while it waited for the synchronous standby")
        return result

    def _handle_notice(self, notice: Diagnostic) -> None:
        # The text of the warning is translated, so it is recognized by the function in PostgreSQL that raises it.
        # psycopg ignores the exceptions of notice handlers, so wait() raises the error.
        if notice.source_function == "SyncRepWaitForLSN":
            self._is_unreplicated = True
