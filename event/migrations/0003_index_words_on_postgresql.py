from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from eventmanagement.database.errors import lift_time_limit

# A trigram index for ?search=. It uses UPPER() because Django's icontains compares upper-case text.
INDEX = (
    "CREATE INDEX event_by_words ON event_event USING gin (UPPER(title) gin_trgm_ops, UPPER(description) gin_trgm_ops)"
)


def create_index(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        # Indexing a million events takes half a minute.
        lift_time_limit(apps, schema_editor)
        # pg_trgm is a trusted extension: any role with the CREATE privilege on the database can install it.
        schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        schema_editor.execute(INDEX)


def drop_index(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX event_by_words")


class Migration(migrations.Migration):
    dependencies = [("event", "0002_index_orderings_by_capacity")]

    operations = [migrations.RunPython(create_index, drop_index)]
