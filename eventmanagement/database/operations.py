"""Operations that add check constraints to large tables in two migrations, without blocking writes.

The first migration adds the constraint, which PostgreSQL then checks only for new rows. It locks the table for a
moment. The second migration checks the existing rows in its own transaction, while other transactions read and write.
On SQLite, the first migration does both.
"""

from django.contrib.postgres import operations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddConstraint
from django.db.migrations.state import ProjectState


class AddConstraintNotValid(operations.AddConstraintNotValid):
    """Add a check constraint. On PostgreSQL, existing rows are not checked."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        is_postgresql = schema_editor.connection.vendor == "postgresql"
        # What Django's operation extends for PostgreSQL.
        add: type[AddConstraint] = operations.AddConstraintNotValid if is_postgresql else AddConstraint
        add.database_forwards(self, app_label, schema_editor, from_state, to_state)


class ValidateConstraint(operations.ValidateConstraint):
    """On PostgreSQL, check the existing rows for a constraint that was added with AddConstraintNotValid."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
