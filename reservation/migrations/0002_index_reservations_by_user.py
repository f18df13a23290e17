from django.conf import settings
from django.db import migrations, models

from eventmanagement.database.errors import lift_time_limit


class Migration(migrations.Migration):
    dependencies = [
        ("event", "0002_index_orderings_by_capacity"),
        ("reservation", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(lift_time_limit, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(fields=["user", "id"], name="reservation_by_user"),
        ),
    ]
