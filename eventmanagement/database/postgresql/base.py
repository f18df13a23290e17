"""Django's PostgreSQL, with statements that are planned once and a health check that asks nobody."""

import select
from typing import TYPE_CHECKING, Any, Self

from django.db.backends.postgresql import base
from psycopg import Error
from psycopg.errors import FeatureNotSupported
from psycopg.pq import TransactionStatus

from eventmanagement.database.postgresql import Prepared

if TYPE_CHECKING:
    # django-stubs lacks Django's, which is a subclass of this one.
    from psycopg import Cursor as ServerBindingCursor
else:
    from django.db.backends.postgresql.base import ServerBindingCursor


class Cursor(ServerBindingCursor):
    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Execute as ever; plan a ``Prepared`` query once, and anew where its plan no longer holds.

        PostgreSQL refuses a plan whose columns have changed their type meanwhile, which ends a
        transaction: within one, every query is planned each time. And psycopg loses sight of a plan
        whose first run fails, which the server would keep.
        """
        prepare = isinstance(query, Prepared) and self._is_by_itself()
        try:
            return super().execute(query, params, **{"prepare": prepare} | options)
        except Error as error:
            if not prepare or not self._is_by_itself():
                raise
            # Prepared itself, because that is how psycopg forgets the plans as well.
            super().execute("DEALLOCATE ALL", prepare=True)
            if not isinstance(error, FeatureNotSupported):
                raise
            return super().execute(query, params, prepare=True)

    def _is_by_itself(self) -> bool:
        """Say whether a statement is a transaction of its own."""
        # Without autocommit, psycopg begins the transaction with its first statement.
        return self.connection.autocommit and self.connection.info.transaction_status == TransactionStatus.IDLE


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        return super().get_connection_params() | {"cursor_factory": Cursor}

    def is_usable(self) -> bool:
        """Say whether the server still holds the connection.

        Hardly anything is sent to an idle client but by a server that lets go of it: a message, the
        end of the stream, mostly both. So the server is asked only where something has arrived, or
        where the connection is not idle.
        """
        return self._is_idle_and_silent() or super().is_usable()

    def _is_idle_and_silent(self) -> bool:
        if self.connection is None or self.connection.info.transaction_status != TransactionStatus.IDLE:
            return False
        arrivals = select.poll()
        arrivals.register(self.connection.fileno(), select.POLLIN)
        return not arrivals.poll(0)
