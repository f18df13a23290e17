from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("event", "0005_limit_descriptions")]

    operations = [
        migrations.AlterModelOptions(
            name="event",
            options={"base_manager_name": "objects", "ordering": ["start_time", "id"]},
        ),
    ]
