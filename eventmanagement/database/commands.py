"""Shows database errors in management commands as one sentence, without a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import CommandError
from django.db import DatabaseError, InterfaceError

from eventmanagement.database.migrations import missing_migrations


@contextmanager
def usable_database(returncode: int = 1) -> Iterator[None]:
    """Run the block of a command that needs a migrated database.

    Raises CommandError with this return code if migrations are missing, if the database can't be reached, or if the
    block fails with a database error such as a timeout. ``--traceback`` shows the original error.
    """
    try:
        if missing_migrations():
            raise CommandError("The database is not up to date. Run first: manage.py migrate", returncode=returncode)
        yield
    except (DatabaseError, InterfaceError) as error:
        # The messages of libpq have several lines.
        reason = " ".join(str(error).split())
        raise CommandError(f"The database can't be used: {reason}", returncode=returncode) from error
