"""The migrations that the database lacks."""

from functools import cache

from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from eventmanagement.database.readiness import readiness_connection

# An app and the name of one of its migrations.
Migration = tuple[str, str]


def missing_migrations() -> list[Migration]:
    """Return the migrations of the code that the database lacks.

    Applied migrations that the code does not know are ignored: a newer release applied them. A squashed migration
    counts as applied if all migrations that it replaces are.
    """
    applied = MigrationRecorder(readiness_connection()).applied_migrations()
    return [
        migration
        for migration, replaced in known_migrations().items()
        if migration not in applied and not (replaced and applied.keys() >= replaced)
    ]


@cache
def known_migrations() -> dict[Migration, set[Migration]]:
    """Return the migrations of the code, each with those that it replaces. Reads the files once per process."""
    known = MigrationLoader(None).disk_migrations
    return {name: set(migration.replaces) for name, migration in known.items()}
