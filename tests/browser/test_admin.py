"""An organizer uses the admin in a browser."""

import re

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from playwright.sync_api import Locator, Page, expect

from event.models import Event
from reservation.models import Reservation
from tests.browser.conftest import LAPTOP, PHONE
from tests.ledger import book, seats_left

PASSWORD = "correct-horse-battery"


@pytest.fixture
def admin(visit) -> Page:
    """The admin index page, after the login."""
    User.objects.create_superuser("boss", password=PASSWORD)
    log_in(visit.page, "boss")
    return visit.page


def follow(way: Locator) -> None:
    """Click a link or button and wait until the next page is loaded. Leaving it earlier would abort its images."""
    with way.page.expect_navigation():
        way.click()


def log_in(page: Page, username: str) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    follow(page.get_by_role("button", name="Log in"))
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()


def choose(page: Page, field: str, text: str) -> None:
    """Select a row in an autocomplete field by typing the beginning of its name."""
    page.locator(f".field-{field} .select2-selection").click()
    # Wait for the initial options before typing, and for the search response before choosing. Otherwise the search
    # request would be aborted.
    expect(page.locator(".select2-results__option:not(.loading-results)").first).to_be_visible()
    with page.expect_response(re.compile(f"/autocomplete/.*term={text}")):
        page.locator(".select2-search__field").fill(text)
    page.locator(".select2-results__option", has_text=text).first.click()


def test_organizer_finds_an_event_and_reads_why_its_capacity_is_too_small(admin, event, bob, carol):
    book(event, bob, carol)

    follow(admin.get_by_role("link", name="Next events"))
    admin.get_by_role("searchbox").fill("Conc")
    follow(admin.get_by_role("button", name="Search"))
    follow(admin.locator("#result_list").get_by_role("link", name="Concert"))
    admin.get_by_label("Capacity").fill("1")
    follow(admin.get_by_role("button", name="Save", exact=True))

    expect(admin.locator(".field-capacity .errorlist")).to_have_text(
        "The capacity can't be less than the number of reserved seats (2)."
    )
    assert Event.objects.get().capacity == 10


def test_organizer_books_for_somebody(admin, event, bob):
    admin.goto(f"/admin/event/event/{event.pk}/change/")
    follow(admin.get_by_role("link", name="Book for a user"))
    choose(admin, "user", "bob")
    follow(admin.get_by_role("button", name="Save", exact=True))

    expect(admin.locator(".messagelist")).to_contain_text("was added successfully")
    expect(admin.get_by_role("heading", name="Change event")).to_be_visible()
    assert bob.reservations.get().event == event
    assert seats_left(event) == 9


def test_phone_shows_when_events_start_and_what_is_wrong(admin, event, bob, carol):
    book(event, bob, carol)
    admin.set_viewport_size(PHONE)

    admin.goto("/admin/event/event/")
    expect(admin.locator("#result_list td.field-start_time")).to_be_in_viewport(ratio=1)
    expect(admin.locator("#result_list td.field-booked")).to_be_in_viewport(ratio=1)
    admin.goto(f"/admin/event/event/{event.pk}/change/")
    admin.get_by_label("Capacity").fill("1")
    follow(admin.get_by_role("button", name="Save", exact=True))

    expect(admin.locator(".error-summary")).to_be_in_viewport(ratio=1)
    expect(admin.locator(".error-summary")).to_contain_text("Capacity: The capacity can't be less")


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_long_title_leaves_the_other_columns_on_the_screen(admin, event_of, bob, size):
    event_of(bob, title="x" * 200)
    admin.set_viewport_size(size)

    admin.goto("/admin/event/event/")

    expect(admin.locator("#result_list td.field-start_time")).to_be_in_viewport(ratio=1)
    expect(admin.locator("#result_list td.field-booked")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_person_at_the_door_sees_who_is_in(admin, alice, bob, event_of, size):
    event = event_of(alice, title="Chess tournament on the roof of the old mill " * 4)
    [reservation] = book(event, bob)
    Reservation.objects.check_in(event.pk, reservation.pk)
    admin.set_viewport_size(size)

    admin.goto("/admin/reservation/reservation/")

    expect(admin.locator("#result_list td.field-checked_in_at")).to_be_in_viewport(ratio=1)


def test_person_at_the_door_checks_several_in(admin, event, bob, carol):
    book(event, bob, carol)

    admin.goto(f"/admin/event/event/{event.pk}/change/")
    follow(admin.get_by_role("link", name="All 2 reservations"))
    admin.locator("#action-toggle").check()
    admin.locator("select[name=action]").select_option("Check in selected reservations")
    follow(admin.get_by_role("button", name="Go"))

    expect(admin.locator(".messagelist")).to_contain_text("2 reservations now checked in.")
    admin.goto(f"/admin/event/event/{event.pk}/change/")
    expect(admin.get_by_role("link", name="2 of 2", exact=True)).to_be_visible()


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_organizer_calls_an_event_off(admin, event, size):
    admin.set_viewport_size(size)

    admin.goto(f"/admin/event/event/{event.pk}/change/")
    follow(admin.get_by_role("link", name="Call off"))
    admin.get_by_label("Reason").fill("The hall is closed.")
    expect(admin.get_by_role("button", name="Yes, call off")).to_be_in_viewport(ratio=1)
    follow(admin.get_by_role("button", name="Yes, call off"))

    expect(admin.locator(".messagelist")).to_contain_text("Called off 1 event.")
    expect(admin.get_by_text("The hall is closed.")).to_be_in_viewport(ratio=1)
    expect(admin.get_by_role("link", name="Call off")).to_have_count(0)


def test_organizer_goes_back_without_calling_off(admin, event):
    admin.goto(f"/admin/event/event/{event.pk}/change/")
    follow(admin.get_by_role("link", name="Call off"))
    follow(admin.get_by_role("link", name="No, go back"))

    expect(admin.get_by_role("heading", name="Change event")).to_be_visible()
    assert not Event.objects.called_off().exists()


def test_organizer_cancels_one(admin, event, bob):
    book(event, bob)

    admin.goto(f"/admin/event/event/{event.pk}/change/")
    follow(admin.get_by_role("link", name="bob", exact=True))
    follow(admin.get_by_role("link", name="Cancel reservation"))
    follow(admin.get_by_role("button", name="Yes, cancel"))

    expect(admin.locator(".messagelist")).to_contain_text("The reservation “bob at Concert” was cancelled.")
    assert seats_left(event) == 10


def test_organizer_reads_that_an_event_is_sold_out(admin, alice, bob, carol, event_of):
    book(event_of(alice, title="Full", capacity=1), bob)

    admin.goto("/admin/reservation/reservation/add/")
    choose(admin, "event", "Full")
    choose(admin, "user", "carol")
    follow(admin.get_by_role("button", name="Save", exact=True))

    expect(admin.locator(".field-event .errorlist")).to_have_text("This event has no seats left.")
    expect(admin.locator(".field-event .errorlist")).to_be_in_viewport()


def test_organizer_cancels_several_at_once(admin, event, bob, carol):
    book(event, bob, carol)

    admin.goto(f"/admin/event/event/{event.pk}/change/")
    follow(admin.get_by_role("link", name="All 2 reservations"))
    admin.locator("#action-toggle").check()
    admin.locator("select[name=action]").select_option("Cancel selected reservations")
    follow(admin.get_by_role("button", name="Go"))
    follow(admin.get_by_role("button", name=re.compile("Yes")))

    expect(admin.locator(".messagelist")).to_contain_text("Successfully cancelled 2 reservations.")
    assert seats_left(event) == 10


def test_pages_with_demo_data(visit, screenshot):
    call_command("seed_demo")
    person = User.objects.get(username="admin")
    person.set_password(PASSWORD)
    person.save()
    page = visit.page

    log_in(page, "admin")
    screenshot(page, "admin")
    page.goto("/admin/event/event/")
    screenshot(page, "admin-events")
    event = Event.objects.order_by("seats_remaining", "-capacity").first()
    page.goto(f"/admin/event/event/{event.pk}/change/")
    screenshot(page, "admin-event")
    page.get_by_label("Capacity").fill("1")
    follow(page.get_by_role("button", name="Save", exact=True))
    expect(page.locator(".field-capacity .errorlist")).to_be_visible()
    screenshot(page, "admin-refusal", of=page.locator(".field-capacity"))
    page.goto("/admin/reservation/reservation/")
    page.goto(f"/admin/auth/user/{person.pk}/change/")
