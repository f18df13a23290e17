from django.db import migrations

from eventmanagement.database.errors import lift_time_limit
from eventmanagement.database.operations import ValidateConstraint


class Migration(migrations.Migration):
    dependencies = [("event", "0014_calling_off")]

    operations = [
        migrations.RunPython(lift_time_limit, migrations.RunPython.noop),
        ValidateConstraint(model_name="event", name="event_nobody_waits_if_called_off"),
    ]
