"""Django's PostgreSQL backend, with prepared statements and a health check that needs no query."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import Error
from psycopg.errors import FeatureNotSupported
from psycopg.pq import TransactionStatus

from eventmanagement.database.postgresql import Prepared
from eventmanagement.database.postgresql.connection import Connection
from eventmanagement.database.postgresql.pool import Pool, is_silent

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
    # Django opens connections with ``Database.connect``, and looks up psycopg's exceptions in it.
    Database = SimpleNamespace(**{**vars(psycopg), "connect": Connection.connect})

    @property
    def pool(self) -> Pool | None:
        """The pool of this process, or None without the option ``pool``."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            # If two threads get here at once, both use the pool of the first.
            self._connection_pools.setdefault(self.alias, Pool(self._open, **options))
        return self._connection_pools[self.alias]

    def _open(self) -> Connection:
        connection = Connection.connect(**self.get_connection_params(), autocommit=True)
        try:
            self._configure_connection(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def get_connection_params(self) -> dict[str, Any]:
        return super().get_connection_params() | {"cursor_factory": Cursor}

    def is_usable(self) -> bool:
        """Return whether the connection still works. If the server has sent something, Django's check runs a query."""
        return (self.connection is not None and is_silent(self.connection)) or super().is_usable()
