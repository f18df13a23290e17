"""A new user goes from sign-up to a cancelled reservation in Swagger UI."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from eventmanagement.api.openapi import OPERATIONS
from reservation.models import Reservation, WaitlistEntry
from tests.browser.conftest import LAPTOP, PHONE
from tests.ledger import assert_balanced, book

SWAGGER = "/docs/swagger/"

LEGIBILITY = Path(__file__).with_name("legibility.js").read_text()


def opened(page: Page, operation: str) -> Locator:
    block = page.locator(f".opblock[id$='-{operation}']")
    if "is-open" not in block.get_attribute("class"):
        block.locator(".opblock-summary-control").click()
    return block


def execute(page: Page, operation: str, **parameters: str) -> Locator:
    """Execute an operation with its unchanged example, and return the row of the response."""
    block = opened(page, operation)
    for name, value in parameters.items():
        block.locator(f"tr[data-param-name='{name}'] input").fill(value)
    block.get_by_role("button", name="Execute", exact=True).click()
    response = block.locator(".live-responses-table .response")
    expect(response).to_be_visible()
    return response


def send(page: Page, operation: str, text: str) -> Locator:
    """Execute an operation with this request body, and return the row of the response."""
    opened(page, operation).locator("textarea").fill(text)
    return execute(page, operation)


def body(response: Locator) -> str:
    return response.locator(".response-col_description .highlight-code").first.inner_text()


def authorize(page: Page, token: str) -> None:
    page.get_by_role("button", name="Authorize").first.click()
    expect(page.locator(".auth-container")).to_contain_text("enter the word Token, a space and the token")
    page.locator(".auth-container input").fill(f"Token {token}")
    page.locator(".auth-btn-wrapper button", has_text="Authorize").click()
    page.locator(".auth-btn-wrapper button", has_text="Close").click()


# The examples refer to the event and the reservation with id 1.
@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_newcomer_books_is_refused_a_second_seat_and_cancels(visit, screenshot):
    page = visit.page
    page.goto("/")
    expect(page).to_have_url(re.compile(SWAGGER))
    expect(page.locator(".opblock")).to_have_count(len(OPERATIONS))
    screenshot(page, "swagger")

    expect(execute(page, "signup")).to_contain_text("201")
    token = re.search('"token": "(.+)"', body(execute(page, "login")))[1]
    authorize(page, token)
    expect(execute(page, "event_create")).to_contain_text("201")
    booked = execute(page, "reservation_create")
    expect(booked).to_contain_text('"seats_remaining": 39')
    again = execute(page, "reservation_create")
    expect(again).to_contain_text('"code": "already_reserved"')
    screenshot(page, "swagger-refusal", of=again)
    expect(execute(page, "reservation_cancel", id="1")).to_contain_text("204")

    assert not Reservation.objects.exists()
    assert visit.refusals == [400]


# The examples refer to the event and the place with id 1.
@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_waiting_user_gets_a_seat_and_leaves_another_list(visit, alice, bob, carol, event_of, as_user, routes):
    first, second = event_of(alice, capacity=1), event_of(alice, capacity=1)
    [held, _] = book(first, bob) + book(second, bob)
    as_user(carol)
    page = visit.page
    page.goto(SWAGGER)
    authorize(page, carol.auth_token.key)

    expect(execute(page, "reservation_create")).to_contain_text('"code": "sold_out"')
    expect(execute(page, "waitlist_join")).to_contain_text('"position": 1')
    expect(execute(page, "waitlist_join")).to_contain_text('"code": "already_waiting"')
    as_user(bob).delete(routes.reservation(held))
    expect(execute(page, "waitlist_retrieve", id="1")).to_contain_text('"code": "not_found"')
    expect(execute(page, "reservation_list")).to_contain_text('"from_waitlist": true')
    expect(send(page, "waitlist_join", '{"event_id": 2}')).to_contain_text('"id": 2')
    expect(execute(page, "waitlist_leave", id="2")).to_contain_text("204")

    assert Reservation.objects.get(event=first).user == carol
    assert not WaitlistEntry.objects.exists()
    assert visit.refusals == [400, 400, 404]
    assert_balanced()


def test_reload_keeps_authorization(visit, bob, as_user):
    as_user(bob)
    page = visit.page
    page.goto(SWAGGER)
    authorize(page, bob.auth_token.key)

    page.reload()

    expect(execute(page, "reservation_list")).to_contain_text("200")


def test_operations_are_in_documented_order(visit):
    visit.page.goto(SWAGGER)
    blocks = visit.page.locator(".opblock")
    expect(blocks).to_have_count(len(OPERATIONS))

    names = [block.get_attribute("id").rpartition("-")[2] for block in blocks.all()]

    assert names == OPERATIONS


def test_filter_shows_matching_tag(visit):
    visit.page.goto(SWAGGER)

    visit.page.get_by_placeholder("Filter by tag").fill("Reserv")

    expect(visit.page.locator(".opblock-tag")).to_have_count(1)


def test_link_opens_its_operation(visit):
    visit.page.goto(f"{SWAGGER}#/Reservations/reservation_create")

    expect(visit.page.locator("#operations-Reservations-reservation_create")).to_have_class(re.compile("is-open"))


def test_duration_of_a_request_is_shown(visit):
    visit.page.goto(SWAGGER)

    response = execute(visit.page, "event_list")

    expect(response).to_contain_text("Request duration")


def open_everything(page: Page) -> None:
    """Open the introduction, one operation of each method, and two responses."""
    for summary in page.locator(".info summary").all():
        summary.click()
    for operation in ("event_update", "event_partial_update", "event_delete"):
        opened(page, operation)
    execute(page, "event_list")
    execute(page, "signup")
    # The button "Reset" appears when the example has been changed.
    opened(page, "signup").locator("textarea").fill("{}")
    expect(page.get_by_role("button", name="Reset")).to_be_visible()
    for summary in page.locator(".folded-headers > summary").all():
        summary.click()


@pytest.fixture(params=["light", "dark"])
def scheme(request, visit) -> str:
    visit.page.emulate_media(color_scheme=request.param)
    return request.param


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_text_has_enough_contrast(visit, scheme, size, event):
    page = visit.page
    page.set_viewport_size(size)
    page.goto(SWAGGER)
    open_everything(page)
    page.get_by_role("button", name="Authorize").first.click()

    assert page.locator(".opblock-summary-method").count() == len(OPERATIONS)
    assert page.locator(".btn").count() > 10
    assert page.evaluate(f"{LEGIBILITY}.lowContrast()") == []


def test_page_has_the_scheme_of_the_browser(visit, scheme):
    page = visit.page
    page.goto(SWAGGER)
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    is_dark = sum(map(int, re.findall(r"\d+", background))) < 3 * 128
    assert is_dark == (scheme == "dark")

    page.emulate_media(color_scheme="light" if is_dark else "dark")

    expect(page.locator("html")).not_to_have_css("background-color", background)


def test_phone_shows_whole_words_in_the_width_of_the_screen(visit, event):
    page = visit.page
    page.set_viewport_size(PHONE)
    page.goto(SWAGGER)
    open_everything(page)

    assert page.evaluate(f"{LEGIBILITY}.tooWide()") == []
    assert page.evaluate(f"{LEGIBILITY}.brokenWords()") == []


def test_first_screen_shows_operations(visit):
    visit.page.goto(SWAGGER)

    expect(visit.page.locator("[id$='-signup']")).to_be_in_viewport(ratio=1)
    expect(visit.page.locator("[id$='-account_retrieve']")).to_be_in_viewport(ratio=1)


def test_response_headers_are_folded(visit, event):
    page = visit.page
    page.goto(SWAGGER)
    execute(page, "event_list")
    block = opened(page, "event_list")

    expect(block.get_by_text("WWW-Authenticate")).to_be_hidden()
    expect(block.get_by_text("x-request-id")).to_have_count(2)
    for line in block.get_by_text("x-request-id").all():
        expect(line).to_be_hidden()

    for summary in block.locator(".folded-headers > summary").all():
        summary.click()

    expect(block.get_by_text("WWW-Authenticate")).to_be_visible()
    expect(block.locator(".folded-headers pre")).to_contain_text("x-request-id: ")


def test_steps_of_the_introduction_open_their_operations(visit):
    page = visit.page
    page.goto(SWAGGER)
    links = page.locator(".info a[href^='#/']")
    expect(links).to_have_count(8)

    for link in links.all():
        _, tag, operation = link.get_attribute("href").split("/")
        link.click()
        block = page.locator(f"#operations-{tag.replace('%20', '_')}-{operation}")
        expect(block).to_have_class(re.compile("is-open"))
        expect(block).to_be_in_viewport()
        expect(page).to_have_url(re.compile(f"#/{tag}/{operation}$"))

    assert len(page.context.pages) == 1


def test_changed_address_opens_its_operation(visit):
    page = visit.page
    page.goto(SWAGGER)
    expect(page.locator(".opblock")).to_have_count(len(OPERATIONS))

    page.evaluate("location.hash = '#/Events/event_create'")

    expect(page.locator("#operations-Events-event_create")).to_have_class(re.compile("is-open"))
