from django.apps.registry import Apps
from django.core.exceptions import ValidationError
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from eventmanagement.database.errors import lift_time_limit
from eventmanagement.text_fields import normalize


def normalize_texts(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Normalize the stored titles and descriptions as new ones are. A search would no longer find the others."""
    lift_time_limit(apps, schema_editor)
    events = apps.get_model("event", "Event").objects.using(schema_editor.connection.alias)
    for field in ("title", "description"):
        max_length = events.model._meta.get_field(field).max_length
        for event_id, text in events.order_by("pk").values_list("pk", field).iterator():
            try:
                normalized = normalize(text)
            except ValidationError:
                continue
            if normalized != text and len(normalized) <= max_length:
                # Unless it has been edited since.
                events.filter(pk=event_id, **{field: text}).update(**{field: normalized})


class Migration(migrations.Migration):
    dependencies = [("event", "0006_use_one_manager")]

    operations = [migrations.RunPython(normalize_texts, migrations.RunPython.noop)]
