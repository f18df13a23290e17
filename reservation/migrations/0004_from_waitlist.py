from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reservation", "0003_created_at_from_the_database")]

    operations = [
        # PostgreSQL does not rewrite the table for a constant default.
        migrations.AddField(
            model_name="reservation",
            name="from_waitlist",
            field=models.BooleanField(db_default=False, editable=False),
        ),
    ]
