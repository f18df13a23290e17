from django.db import migrations, models

from eventmanagement.database.operations import AddConstraintNotValid


class Migration(migrations.Migration):
    dependencies = [("event", "0009_index_ends_of_events")]

    operations = [
        # PostgreSQL does not rewrite the table for a constant default.
        migrations.AddField(
            model_name="event", name="waiting", field=models.IntegerField(db_default=0, editable=False)
        ),
        AddConstraintNotValid(
            model_name="event",
            constraint=models.CheckConstraint(
                condition=models.Q(("waiting__gte", 0)), name="event_waiting_is_not_negative"
            ),
        ),
        AddConstraintNotValid(
            model_name="event",
            constraint=models.CheckConstraint(
                condition=models.Q(("seats_remaining", 0), ("waiting", 0), _connector="OR"),
                name="event_nobody_waits_beside_a_free_seat",
            ),
        ),
    ]
