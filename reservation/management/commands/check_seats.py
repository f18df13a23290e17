from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from reservation.audit import differences, repair


class Command(BaseCommand):
    help = "Compare every event's seats with its reservations. Print the differences; exit with 1 if any remain."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="correct seats_remaining of these events, one by one")

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                # The statement timeout is for requests; an audit may take longer.
                cursor.execute("SET statement_timeout = 0")
        wrong = unrepaired = 0
        for difference in differences():
            wrong += 1
            repaired = options["repair"] and repair(difference.event)
            unrepaired += not repaired
            self.stdout.write(f"{difference}{' (repaired)' if repaired else ''}")
        if unrepaired:
            raise CommandError(f"{unrepaired} of {wrong} differences remain.", returncode=1)
        self.stdout.write(self.style.SUCCESS(f"{wrong} events repaired." if wrong else "No differences found."))
