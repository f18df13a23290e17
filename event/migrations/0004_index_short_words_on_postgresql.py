from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from eventmanagement.database.errors import lift_time_limit

# An index for search words of two characters (event/search_sql.py). The function returns every pair of adjacent
# characters (bigram) as a bigint made of the two code points, because integers sort faster than text. The high COST
# makes PostgreSQL use the index instead of computing the bigrams of every row.
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
        # Indexing a million events takes several minutes.
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
