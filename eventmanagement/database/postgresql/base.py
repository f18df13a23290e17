"""Django's PostgreSQL backend, with prepared statements and a health check that needs no query."""

from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import Error
from psycopg.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName
from psycopg.pq import TransactionStatus

from eventmanagement.database.postgresql import Prepared
from eventmanagement.database.postgresql.connection import Connection
from eventmanagement.database.postgresql.pool import Pool, is_silent
from eventmanagement.database.postgresql.pooler import set_limits

if TYPE_CHECKING:
    # django-stubs lacks Django's, which is a subclass of this one.
    from psycopg import Cursor as ServerBindingCursor
else:
    from django.db.backends.postgresql.base import ServerBindingCursor

# Errors that PostgreSQL raises before it executes a prepared statement: the type of a result column has changed, the
# server connection doesn't know the statement, or it has another statement with the same name.
NOT_EXECUTED = (FeatureNotSupported, InvalidSqlStatementName, DuplicatePreparedStatement)


class Cursor(ServerBindingCursor):
    if TYPE_CHECKING:

        @property
        def connection(self) -> Connection: ...

    def execute(self, query: Any, params: Any = None, *, prepare: bool | None = None, **options: Any) -> Self:
        """Execute the query. Outside of a transaction, run a ``Prepared`` query as a prepared statement.

        PostgreSQL rejects a prepared statement if the type of a result column has changed. Here the statement is then
        prepared again. Within a transaction that error would abort the transaction, so nothing is prepared there.
        If the first execution of a prepared statement fails, psycopg forgets the statement but the server keeps it,
        so all prepared statements are deallocated.

        Behind PgBouncer the statement may fail again: PgBouncer may run it on a server connection that doesn't know it,
        or keep the old prepared statement. Then the query runs without a prepared statement, and this connection
        prepares no more statements.
        """
        if prepare is None:
            prepare = isinstance(query, Prepared) and self._is_in_autocommit() and self.connection.may_prepare
        try:
            return super().execute(query, params, prepare=prepare, **options)
        except Error as error:
            if not prepare or not self._is_in_autocommit():
                raise
            if not isinstance(error, NOT_EXECUTED):
                self._forget_prepared()
                raise
            if isinstance(error, FeatureNotSupported):
                self._forget_prepared()
                with suppress(*NOT_EXECUTED):
                    return super().execute(query, params, prepare=True, **options)
        self.connection.may_prepare = False
        return super().execute(query, params, prepare=False, **options)

    def _forget_prepared(self) -> None:
        # With prepare=True, psycopg also clears its own cache of prepared statements.
        super().execute("DEALLOCATE ALL", prepare=True)

    def _is_in_autocommit(self) -> bool:
        """Return whether the next statement is its own transaction."""
        # Without autocommit, psycopg begins a transaction before the first statement, and the status is still IDLE.
        return self.connection.autocommit and self.connection.info.transaction_status == TransactionStatus.IDLE


class DatabaseWrapper(base.DatabaseWrapper):
    # Django's attribute: one pool per alias.
    _connection_pools: ClassVar[dict[str, Pool]]
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

    def _configure_connection(self, connection: Connection) -> bool:
        if wait := self.settings_dict.get("WAIT"):
            connection.wait_timeout = wait
        if limits := self.settings_dict.get("SESSION_LIMITS"):
            set_limits(connection, limits)
        # django-stubs lacks this method of Django's.
        needs_commit: bool = super()._configure_connection(connection)  # type: ignore[misc]
        return needs_commit

    def get_connection_params(self) -> dict[str, Any]:
        return super().get_connection_params() | {"cursor_factory": Cursor}

    def is_usable(self) -> bool:
        """Return whether the connection still works. Runs a query only if ``is_silent`` returns False."""
        return (self.connection is not None and is_silent(self.connection)) or super().is_usable()
