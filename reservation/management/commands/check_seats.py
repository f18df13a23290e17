from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from reservation.audit import differences, repair


class Command(BaseCommand):
    help = "Compare every event's seats with its reservations; print what differs and exit with 1 if anything does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="set the seats right, event by event, under its lock")

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                # The limit is for requests; an audit may take its time.
                cursor.execute("SET statement_timeout = 0")
        wrong = unrepaired = 0
        for difference in differences():
            wrong += 1
            repaired = options["repair"] and repair(difference.event)
            unrepaired += not repaired
            self.stdout.write(f"{difference}{' (repaired)' if repaired else ''}")
        if unrepaired:
            raise CommandError(f"{unrepaired} of {wrong} wrong events remain.", returncode=1)
        self.stdout.write(self.style.SUCCESS(f"{wrong} events repaired." if wrong else "Every seat is accounted for."))
