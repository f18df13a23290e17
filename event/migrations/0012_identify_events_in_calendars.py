import uuid

from django.db import migrations, models

from eventmanagement.database.queries import RandomUUID


class Migration(migrations.Migration):
    dependencies = [("event", "0011_validate_waiting")]

    operations = [
        # First without the default: PostgreSQL would compute it for each row, and block the whole table meanwhile.
        # The next migration fills the existing rows. The default is for the previous release, which may
        # still insert events.
        migrations.AddField(model_name="event", name="uid", field=models.UUIDField(editable=False, null=True)),
        migrations.AlterField(
            model_name="event",
            name="uid",
            field=models.UUIDField(db_default=RandomUUID(), default=uuid.uuid4, editable=False, null=True),
        ),
        # PostgreSQL does not rewrite the table for a constant default.
        migrations.AddField(
            model_name="event", name="revision", field=models.IntegerField(db_default=0, default=0, editable=False)
        ),
    ]
