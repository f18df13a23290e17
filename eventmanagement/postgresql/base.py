"""Django's PostgreSQL, with statements that are planned once and a health check that asks nobody."""

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

from eventmanagement.postgresql import Prepared


class Cursor(base.ServerBindingCursor):
    def execute(self, query: Any, params: Any = None, **options: Any) -> "Cursor":
        return super().execute(query, params, **{"prepare": isinstance(query, Prepared)} | options)


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        # Without a threshold psycopg would prepare nothing; whether it does is the cursor's to say.
        return super().get_connection_params() | {"cursor_factory": Cursor, "prepare_threshold": 0}

    def is_usable(self) -> bool:
        """Say whether the server still holds the connection.

        Nobody sends anything to an idle client but a server that lets go of it: by a message, by
        closing the socket, mostly by both. So the server is asked only where something has arrived,
        or where the connection is not idle.
        """
        return self._is_idle_and_silent() or super().is_usable()

    def _is_idle_and_silent(self) -> bool:
        if self.connection is None or self.connection.info.transaction_status != TransactionStatus.IDLE:
            return False
        arrivals = select.poll()
        arrivals.register(self.connection.fileno(), select.POLLIN)
        return not arrivals.poll(0)
