from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("event", "0007_normalize_texts")]

    operations = [
        # Only the message changes, not the table.
        migrations.AlterConstraint(
            model_name="event",
            name="event_opens_before_it_ends",
            constraint=models.CheckConstraint(
                condition=models.Q(("show_time__lte", models.F("end_time"))),
                name="event_opens_before_it_ends",
                violation_error_message="The doors can't open after the event ends.",
            ),
        ),
    ]
