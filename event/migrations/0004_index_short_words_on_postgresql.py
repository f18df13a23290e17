from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from eventmanagement.database.errors import lift_time_limit

# A word of two characters is found by them: event/search_sql.py. Two characters in a row are one number, made of
# their code points, because numbers are sorted faster than texts. The cost keeps PostgreSQL from computing the
# pairs of each row that it reads.
FUNCTION = """
CREATE FUNCTION event_pairs(text) RETURNS bigint[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
    SELECT ARRAY(
        SELECT ascii(this)::bigint << 21 | ascii(next)
        FROM unnest(string_to_array($1, NULL), (string_to_array($1, NULL))[2:]) AS pairs (this, next)
        WHERE next IS NOT NULL
    )
$$
"""
INDEX = "CREATE INDEX event_by_pairs ON event_event USING gin (event_pairs(UPPER(title || E'\\n' || description)))"


def create_index(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        # To index a million events takes some minutes.
        lift_time_limit(apps, schema_editor)
        schema_editor.execute(FUNCTION)
        schema_editor.execute(INDEX)


def drop_index(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX event_by_pairs")
        schema_editor.execute("DROP FUNCTION event_pairs")


class Migration(migrations.Migration):
    dependencies = [("event", "0003_index_words_on_postgresql")]

    operations = [migrations.RunPython(create_index, drop_index)]
