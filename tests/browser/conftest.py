"""A real browser on a live server, which sees that no page fails or asks another host."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response, expect, sync_playwright

DOCS = settings.BASE_DIR / "docs"
LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# Milliseconds; what is there is found at once, what is not should not hold the suite up for long.
PATIENCE = 10_000
HARMLESS = (
    # Any status from 400 on, refusals too; they are counted as answers.
    "Failed to load resource",
    # What Swagger UI says of its own deep links wherever an operation's name has an underscore.
    "Deprecated: escaping deep link whitespace with `_`",
)


class Visit:
    """What went wrong while somebody was on the pages."""

    def __init__(self, page: Page, host: str) -> None:
        self.page = page
        self.host = host
        self.faults: list[str] = []
        # Statuses that a person meant to get, such as the refusal of a second booking.
        self.refusals: list[int] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._ask)
        page.on("requestfailed", lambda request: self.faults.append(f"{request.url}: {request.failure}"))
        page.on("response", self._answer)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(HARMLESS):
            self.faults.append(message.text)

    def _ask(self, request: Request) -> None:
        if not request.url.startswith((self.host, "data:", "blob:")):
            self.faults.append(f"asked another host: {request.url}")

    def _answer(self, response: Response) -> None:
        if response.status >= 400:
            if "/api/" in response.url:
                self.refusals.append(response.status)
            else:
                self.faults.append(f"{response.status} {response.url}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain("No chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as environment:
        # Playwright keeps an event loop in this thread, where Django would refuse to ask the database.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"],
        )
        expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, live_server) -> Iterator[Visit]:
    """Open a page on the live server, and fail afterwards if anything went wrong on it."""
    context = browser.new_context(base_url=live_server.url, viewport=LAPTOP, timezone_id="UTC", locale="en-US")
    context.set_default_timeout(PATIENCE)
    visit = Visit(context.new_page(), live_server.url)
    yield visit
    context.close()
    assert visit.faults == []


@pytest.fixture
def screenshot() -> Callable[..., None]:
    """Keep what a page looks like in docs/, at a phone's and a laptop's width, where SCREENSHOTS is set."""

    def take(page: Page, name: str, *, of: Locator | None = None) -> None:
        if not os.environ.get("SCREENSHOTS"):
            return
        for device, size in (("phone", PHONE), ("laptop", LAPTOP)):
            page.set_viewport_size(size)
            if of:
                of.evaluate("element => element.scrollIntoView({block: 'end'})")
            page.screenshot(path=DOCS / f"{name}-{device}.png", animations="disabled")

    return take
