from django.db import migrations

from eventmanagement.database.errors import lift_time_limit
from eventmanagement.database.operations import ValidateConstraint


class Migration(migrations.Migration):
    dependencies = [("event", "0010_waiting")]

    operations = [
        migrations.RunPython(lift_time_limit, migrations.RunPython.noop),
        ValidateConstraint(model_name="event", name="event_waiting_is_not_negative"),
        ValidateConstraint(model_name="event", name="event_nobody_waits_beside_a_free_seat"),
    ]
