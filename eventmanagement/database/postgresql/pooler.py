"""The time limits of PostgreSQL sessions behind PgBouncer in transaction mode."""

from collections.abc import Mapping

from psycopg import sql

from eventmanagement.database.postgresql.connection import Connection

# The key of the advisory lock for changes of the role. Any number that nothing else uses.
LOCK = 0x5EA7


def set_limits(connection: Connection, limits: Mapping[str, int]) -> None:
    """Make these settings of PostgreSQL, in milliseconds, the role's defaults in this database.

    Behind PgBouncer, a client can't set them when it connects: PgBouncer opens its server connections without the
    client's startup options, and each transaction may use another server connection. Defaults of the role apply to
    every server connection that PgBouncer opens later. An older server connection gets the settings here, when this
    function runs on it. All clients of the role share these settings.
    """
    with connection.transaction():
        current = dict(
            connection.execute("SELECT name, setting::bigint FROM pg_settings WHERE name = ANY(%s)", [[*limits]])
        )
        if current == limits:
            return
        for name, value in limits.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, str(value)])
        if connection.execute("SELECT current_setting('transaction_read_only')").fetchone() == ("on",):
            # This server is a standby. It receives the role's defaults from the primary.
            return
        # Without the lock, one of two concurrent changes of a role would fail.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        # PgBouncer may have another name for this database.
        [[database]] = connection.execute("SELECT current_database()").fetchall()
        for name, value in limits.items():
            connection.execute(
                sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = {}").format(
                    sql.Identifier(database), sql.Identifier(name), sql.Literal(value)
                )
            )
