from django.apps.registry import Apps
from django.core.exceptions import ValidationError
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from eventmanagement.database.errors import lift_time_limit
from eventmanagement.text_fields import normalize

# With the maximum lengths.
FIELDS = {"title": 200, "description": 10_000}


def normalize_texts(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Normalize the stored titles and descriptions like new ones. Otherwise searches would not find some of them."""
    # Reading 300,000 events and changing 3,000 of them took 20 seconds.
    lift_time_limit(apps, schema_editor)
    events = apps.get_model("event", "Event").objects.using(schema_editor.connection.alias)
    for event_id, *texts in events.order_by("pk").values_list("pk", *FIELDS).iterator():
        for field, text in zip(FIELDS, texts, strict=True):
            normalized = normalized_or_same(text, FIELDS[field])
            if normalized != text:
                # Filter by the text, so that a text that has been edited since is not overwritten.
                events.filter(pk=event_id, **{field: text}).update(**{field: normalized})


def normalized_or_same(text: str, max_length: int) -> str:
    """Return the normalized text, or the same text if that is too long or has too many combining marks."""
    try:
        normalized = normalize(text)
    except ValidationError:
        return text
    return normalized if len(normalized) <= max_length else text


class Migration(migrations.Migration):
    dependencies = [("event", "0006_use_one_manager")]

    operations = [migrations.RunPython(normalize_texts, migrations.RunPython.noop)]
