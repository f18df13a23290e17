from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventmanagement.database.commands import usable_database
from eventmanagement.database.errors import without_timeouts
from reservation.audit import differences, repair

# The exit codes besides 0. A usage error and an invalid setting exit with 2 as well.
DIFFERENCES_REMAIN = 1
NOT_CHECKED = 2


class Command(BaseCommand):
    help = (
        "Compare every event's counts with its reservations and its waiting list, and print the differences. Exit "
        "codes: 0 if none remain, 1 if some remain, 2 if the check could not be completed (for example without a "
        "database or migrations)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="correct the counts of these events, one by one")

    def handle(self, *args: Any, **options: Any) -> None:
        with usable_database(NOT_CHECKED):
            wrong, unrepaired = self.compare(repairs=options["repair"])
        if unrepaired:
            raise CommandError(f"{unrepaired} of {wrong} differences remain.", returncode=DIFFERENCES_REMAIN)
        self.stdout.write(self.style.SUCCESS(f"{wrong} events repaired." if wrong else "No differences found."))

    def compare(self, *, repairs: bool) -> tuple[int, int]:
        """Print each difference, and repair it if asked. Returns the numbers of all and of unrepaired differences."""
        wrong = unrepaired = 0
        with without_timeouts():
            found = list(differences())
        for difference in found:
            wrong += 1
            repaired = repairs and repair(difference.event)
            unrepaired += not repaired
            self.stdout.write(f"{difference}{' (repaired)' if repaired else ''}")
        return wrong, unrepaired
