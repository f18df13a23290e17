from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("event", "0004_index_short_words_on_postgresql")]

    operations = [
        # max_length of a TextField is only checked by forms and serializers. The column does not change.
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
