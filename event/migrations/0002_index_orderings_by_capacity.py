from django.conf import settings
from django.db import migrations, models

from eventmanagement.database.errors import lift_time_limit


class Migration(migrations.Migration):
    dependencies = [
        ("event", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(lift_time_limit, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["capacity", "id"], name="event_by_capacity"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["-capacity", "id"], name="event_by_capacity_down"),
        ),
    ]
