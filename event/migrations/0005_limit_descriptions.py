from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("event", "0004_index_short_words_on_postgresql")]

    operations = [
        # The length is checked where a person writes the text; the column stays as it is.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="event",
                    name="description",
                    field=models.TextField(blank=True, max_length=10_000),
                )
            ]
        )
    ]
