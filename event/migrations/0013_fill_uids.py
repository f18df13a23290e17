from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from eventmanagement.database.queries import RandomUUID

# Events per transaction. A booking of one of them waits for the end of the transaction. Each row takes a third of a
# millisecond, because PostgreSQL updates the indexes for search.
BATCH_SIZE = 100


def fill_uids(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give a uid to the events that were created before the column. An interrupted run can be repeated."""
    alias = schema_editor.connection.alias
    events = apps.get_model("event", "Event").objects.using(alias).order_by("pk")
    last = 0
    while True:
        with transaction.atomic(using=alias):
            # As everywhere, events are locked in the order of their ids.
            batch = events.filter(pk__gt=last, uid=None).select_for_update(no_key=True)[:BATCH_SIZE]
            event_ids = list(batch.values_list("pk", flat=True))
            if not event_ids:
                return
            events.filter(pk__in=event_ids).update(uid=RandomUUID())
        last = event_ids[-1]


class Migration(migrations.Migration):
    # A transaction for each batch instead of one for all, which would block the bookings of all events until its end.
    atomic = False
    dependencies = [("event", "0012_identify_events_in_calendars")]

    operations = [migrations.RunPython(fill_uids, migrations.RunPython.noop)]
