from django.apps import AppConfig
from django.db.backends.signals import connection_created

from eventmanagement.database.sqlite import ignore_case_beyond_ascii


class EventConfig(AppConfig):
    name = "event"
    verbose_name = "Events"

    def ready(self) -> None:
        # On PostgreSQL, searches ignore case in any script.
        connection_created.connect(ignore_case_beyond_ascii)
