import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from eventmanagement.database.queries import ClockTimestamp


class Migration(migrations.Migration):
    dependencies = [
        ("event", "0010_waiting"),
        ("reservation", "0004_from_waitlist"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="WaitlistEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(db_default=ClockTimestamp(), editable=False)),
                (
                    "event",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="waitlist",
                        to="event.event",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="waitlist",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "place on a waiting list",
                "verbose_name_plural": "places on waiting lists",
                "ordering": ["id"],
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["event", "id"], name="waitlist_by_event"),
                    models.Index(fields=["user", "id"], name="waitlist_by_user"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("user", "event"), name="waitlist_once_per_user_and_event")
                ],
            },
        ),
    ]
