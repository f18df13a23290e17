"""Helpers for tests of the admin."""

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from event.models import Event


def staff(username: str, *permissions: str) -> Client:
    """Return a client logged in as a staff user with these permissions (codenames such as ``view_event``)."""
    person = User.objects.create_user(username, is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return signed_in(person)


def superuser() -> Client:
    return signed_in(User.objects.create_superuser("boss"))


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def form_of(event: Event, **changes: object) -> dict[str, object]:
    """Return the form data of an event's admin page, with these changes."""
    return {
        "title": event.title,
        "description": event.description,
        "organizer": event.organizer_id,
        "capacity": event.capacity,
        **moment("start_time", event.start_time),
        **moment("end_time", event.end_time),
        **moment("show_time", event.show_time),
    } | changes


def moment(field: str, time: datetime | None) -> dict[str, str]:
    """Return the form data of a date and time field (two inputs)."""
    date, clock = (f"{time:%Y-%m-%d}", f"{time:%H:%M:%S}") if time else ("", "")
    return {f"{field}_0": date, f"{field}_1": clock}


def delete_selected(client: Client, model: str, rows: Sequence) -> HttpResponse:
    """Run the admin action that deletes these rows, including its confirmation page."""
    choice = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}
    return client.post(reverse(f"admin:{model}_changelist"), choice, follow=True)


def errors(response: HttpResponse) -> dict[str, list[str]]:
    """Return the form errors of a page."""
    return dict(response.context["adminform"].form.errors)
