from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reservation", "0006_calendar_keys")]

    operations = [
        # PostgreSQL does not rewrite the table for a column without a default.
        migrations.AddField(
            model_name="reservation",
            name="checked_in_at",
            field=models.DateTimeField(null=True, editable=False),
        ),
    ]
