from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from eventmanagement.database.errors import lift_time_limit

# For the lookup of a new username, which ignores case. It uses UPPER() because Django's iexact compares upper-case
# text. It is not unique, because there may be users whose names differ only by case.
INDEX = "CREATE INDEX authentication_username_upper ON auth_user (UPPER(username))"


def create_index(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        lift_time_limit(apps, schema_editor)
        schema_editor.execute(INDEX)


def drop_index(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX authentication_username_upper")


class Migration(migrations.Migration):
    dependencies = [
        ("authentication", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(create_index, drop_index)]
