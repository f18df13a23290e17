from django.conf import settings
from django.db import migrations, models

from eventmanagement.database.errors import lift_time_limit


class Migration(migrations.Migration):
    dependencies = [
        ("event", "0008_doors_up_to_the_end"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(lift_time_limit, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["start_time", "id", "end_time"], name="event_by_start_and_end"),
        ),
        # The new index replaces it.
        migrations.RemoveIndex(model_name="event", name="event_by_start"),
    ]
