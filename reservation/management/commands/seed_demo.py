"""Fills an empty database with realistic demo data.

Only the password of the admin account is random.
"""

import logging
import secrets
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, transaction
from django.utils import timezone
from tqdm import tqdm

from event.models import Event
from eventmanagement.database.commands import usable_database
from reservation.door import check_in_all
from reservation.models import Reservation, WaitlistEntry

# The command recognizes existing demo data by this email address.
ADMIN, ADMIN_EMAIL = "admin", "admin@demo.example"
FIRST_NAMES = ["ada", "ben", "carla", "dario", "elif", "fatou", "gustav", "hana"]
FIRST_NAMES += ["ivo", "jana", "kofi", "lea", "milan", "noor", "olga", "pavel"]
LAST_NAMES = ["berg", "costa", "diallo", "novak", "yilmaz"]
ORGANIZERS = ["harbour-stage", "green-kitchen", "open-atelier", "reading-room", "night-sky-club", ADMIN]

# Title, description, start hour, duration in hours, capacity.
EVENT_TEMPLATES = [
    ("Jazz quartet", "Two sets of standards, and a session afterwards.", 20, 3, 40),
    ("Sourdough workshop", "Everybody takes a loaf and a starter home.", 10, 4, 8),
    ("Life drawing", "Paper and charcoal are there; bring an eraser.", 18, 2, 12),
    ("Poetry evening", "Six poets, ten minutes each, one microphone.", 19, 2, 30),
    ("Night walk", "Bats, moths and owls, with a biologist. Sturdy shoes.", 21, 2, 15),
    ("Repair café", "Bring what is broken; we look at it together.", 14, 4, 25),
    ("Choir for everyone", "No notes needed. Songs from five countries.", 18, 2, 50),
    ("Python meetup", "Three short talks, then pizza.", 18, 3, 60),
    ("Ceramics for beginners", "Throw your first bowl; it is fired and glazed for you.", 11, 3, 10),
    ("Open-air cinema", "A silent film with live piano. Blankets help.", 21, 2, 70),
    ("Chess tournament", "Seven rounds, Swiss system, all levels.", 13, 5, 24),
]
PLACES = ["at the harbour", "in the old mill", "on the roof", "in the library", "in the garden"]
# How many people want a seat at each event, as a share of its capacity. With 1, the event is sold out. With more than
# 1, some of them are on the waiting list. The list is repeated. The first event has seats left, because the example in
# Swagger UI books the event with id 1.
WANTED_SHARES = [0.4, 0.9, 0.15, 0.7, 0.05, 1.1, 0.5, 0.95, 0, 0.3, 0.6, 1]

# The number of the event that is called off, and the reason.
CALLED_OFF, REASON = 6, "The teacher is ill. We will find a new date."
# The number of the event that starts in a few minutes, and the share of its attendees who are checked in already.
AT_THE_DOOR, MINUTES_UNTIL_START, SHARE_INSIDE = 9, 20, 0.6

DAYS_AHEAD = 120
# Events after this many get no reservations and no waiting list, so that a large --events stays fast.
MAX_BOOKED_EVENTS = 1000
# Events per transaction.
BATCH_SIZE = 100


class Command(BaseCommand):
    help = "Fill an empty database with demo events, users, reservations and an admin account."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--events", type=positive, default=30, help="number of events (default: 30)")

    def handle(self, *args: Any, **options: Any) -> None:
        with usable_database():
            self.seed(options["events"])

    def seed(self, count: int) -> None:
        if User.objects.filter(username=ADMIN, email=ADMIN_EMAIL).exists():
            self.stdout.write(
                "The demo data already exists. To set a new password for the admin account, "
                f"run: manage.py changepassword {ADMIN}"
            )
            return
        if User.objects.exists() or Event.objects.exists():
            raise CommandError("This database is not empty. The demo data can only be added to an empty one.")
        password = secrets.token_urlsafe(9)
        try:
            people = create_people(password)
        except IntegrityError:
            raise CommandError("Another process is adding the demo data right now.") from None
        with quiet("event.seats"):
            seats, waiting = fill(people, count)
        self.stdout.write(self.style.SUCCESS(f"{count} events, {seats} seats booked, {waiting} people waiting."))
        self.stdout.write(f"Admin account: {ADMIN}, password: {password}")


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("must be at least 1")
    return number


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Raise a logger's level to WARNING within the block."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@transaction.atomic
def create_people(password: str) -> dict[str, User]:
    """Create the admin, the organizers and the guests. Only the admin can log in."""
    admin = User.objects.create_superuser(ADMIN, ADMIN_EMAIL, password)
    guests = [(f"{first}.{last}", first, last) for last in LAST_NAMES for first in FIRST_NAMES]
    others = [(name, "", "") for name in ORGANIZERS if name != ADMIN] + guests
    created = User.objects.bulk_create(
        User(
            username=name,
            email=f"{name}@demo.example",
            first_name=first.title(),
            last_name=last.title(),
            password=make_password(None),
        )
        for name, first, last in others
    )
    return {user.username: user for user in [admin, *created]}


def fill(people: dict[str, User], count: int) -> tuple[int, int]:
    """Create the events, book seats, and fill waiting lists. Returns the numbers of booked seats and waiting people.

    Calls one event off, and checks people in at another one.
    """
    organizers = [people[name] for name in ORGANIZERS]
    guests = [user for name, user in people.items() if name not in ORGANIZERS]
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    booked = waiting = 0
    # disable=None hides the progress bar if the output is not a terminal.
    with tqdm(total=count, unit=" events", disable=None) as progress:
        for first in range(0, count, BATCH_SIZE):
            numbers = range(first, min(first + BATCH_SIZE, count))
            with transaction.atomic():
                events = Event.objects.bulk_create(
                    # The first event is the last to start, so that it can be booked for months.
                    planned(number, today + timedelta(days=DAYS_AHEAD - number * DAYS_AHEAD // count), organizers)
                    for number in numbers
                )
                for number, event in zip(numbers, events, strict=True):
                    wanted = (
                        round(event.capacity * WANTED_SHARES[number % len(WANTED_SHARES)])
                        if number < MAX_BOOKED_EVENTS
                        else 0
                    )
                    for nth in range(wanted):
                        guest = guests[(number * 7 + nth) % len(guests)]
                        if nth < event.capacity:
                            Reservation.objects.book(user=guest, event_id=event.pk)
                        else:
                            WaitlistEntry.objects.join(user=guest, event_id=event.pk)
                    booked += min(wanted, event.capacity)
                    waiting += max(wanted - event.capacity, 0)
                    if number == CALLED_OFF:
                        event.cancel(REASON)
                    if number == AT_THE_DOOR:
                        inside = event.reservations.values_list("pk", flat=True)[: round(wanted * SHARE_INSIDE)]
                        check_in_all(Reservation.objects.filter(pk__in=list(inside)))
                    progress.update()
    return booked, waiting


def planned(number: int, day: datetime, organizers: list[User]) -> Event:
    title, description, hour, hours, capacity = EVENT_TEMPLATES[number % len(EVENT_TEMPLATES)]
    start = day + timedelta(hours=hour)
    if number == AT_THE_DOOR:
        start = timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=MINUTES_UNTIL_START)
    return Event(
        title=f"{title} {PLACES[number % len(PLACES)]}",
        description=description,
        start_time=start,
        end_time=start + timedelta(hours=hours),
        show_time=start - timedelta(minutes=30) if number % 3 else None,
        capacity=capacity,
        organizer=organizers[number % len(organizers)],
    )
