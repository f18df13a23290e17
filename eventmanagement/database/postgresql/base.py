"""Django's PostgreSQL backend, with prepared statements and a health check that needs no query."""

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
        """Execute the query. Outside of a transaction, run a ``Prepared`` query as a prepared statement.

        PostgreSQL rejects a prepared statement if the type of a result column has changed. Here the statement is then
        prepared again. Within a transaction that error would abort the transaction, so nothing is prepared there.
        If the first execution of a prepared statement fails, psycopg forgets the statement but the server keeps it,
        so all prepared statements are deallocated.
        """
        prepare = isinstance(query, Prepared) and self._is_in_autocommit()
        try:
            return super().execute(query, params, **{"prepare": prepare} | options)
        except Error as error:
            if not prepare or not self._is_in_autocommit():
                raise
            # With prepare=True, psycopg also clears its own cache of prepared statements.
            super().execute("DEALLOCATE ALL", prepare=True)
            if not isinstance(error, FeatureNotSupported):
                raise
            return super().execute(query, params, prepare=True)

    def _is_in_autocommit(self) -> bool:
        """Return whether the next statement is its own transaction."""
        # Without autocommit, psycopg begins a transaction before the first statement, and the status is still IDLE.
        return self.connection.autocommit and self.connection.info.transaction_status == TransactionStatus.IDLE


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        return super().get_connection_params() | {"cursor_factory": Cursor}

    def is_usable(self) -> bool:
        """Return whether the connection still works.

        PostgreSQL normally sends nothing to an idle client unless it closes the connection. So the socket of an idle
        connection is polled: if nothing has arrived, the connection is usable. Otherwise Django's check runs a query.
        """
        return self._is_idle_and_silent() or super().is_usable()

    def _is_idle_and_silent(self) -> bool:
        if self.connection is None or self.connection.info.transaction_status != TransactionStatus.IDLE:
            return False
        arrivals = select.poll()
        arrivals.register(self.connection.fileno(), select.POLLIN)
        return not arrivals.poll(0)
