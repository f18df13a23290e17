import django.core.validators
from django.db import migrations, models

from eventmanagement.database.operations import AddConstraintNotValid


class Migration(migrations.Migration):
    dependencies = [("event", "0013_fill_uids")]

    operations = [
        # PostgreSQL does not rewrite the table for a column without a default, or with a constant one.
        migrations.AddField(
            model_name="event",
            name="cancelled_at",
            field=models.DateTimeField("called off at", null=True, editable=False),
        ),
        migrations.AddField(
            model_name="event",
            name="cancellation_reason",
            field=models.TextField(
                "reason",
                blank=True,
                max_length=2_000,
                validators=[django.core.validators.MaxLengthValidator(2_000)],
                db_default="",
                editable=False,
            ),
        ),
        AddConstraintNotValid(
            model_name="event",
            constraint=models.CheckConstraint(
                condition=models.Q(("cancelled_at", None), ("waiting", 0), _connector="OR"),
                name="event_nobody_waits_if_called_off",
            ),
        ),
    ]
