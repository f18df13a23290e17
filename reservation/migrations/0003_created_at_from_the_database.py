from django.db import migrations, models

from eventmanagement.database.queries import ClockTimestamp


class Migration(migrations.Migration):
    dependencies = [("reservation", "0002_index_reservations_by_user")]

    operations = [
        migrations.AlterField(
            model_name="reservation",
            name="created_at",
            field=models.DateTimeField(db_default=ClockTimestamp(), editable=False),
        ),
    ]
