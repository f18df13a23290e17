"""Fixtures for tests in a real browser. A test fails if a page has errors or loads anything from another host."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response, expect, sync_playwright

DOCS = settings.BASE_DIR / "docs"
LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# In milliseconds. Existing elements are found at once; a missing element should not delay the suite for long.
TIMEOUT = 10_000
HARMLESS = (
    # Logged for every status >= 400. Those responses are checked in ErrorCollector._answer.
    "Failed to load resource",
    # Logged by Swagger UI for every operation id that contains an underscore.
    "Deprecated: escaping deep link whitespace with `_`",
)


class ErrorCollector:
    """Collects the errors that occur while a test uses the pages."""

    def __init__(self, page: Page, host: str) -> None:
        self.page = page
        self.host = host
        self.faults: list[str] = []
        # Error statuses of API requests that the test expects, such as for a second booking.
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
            self.faults.append(f"request to another host: {request.url}")

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
        complain("Chromium is not on the PATH. Install it, for example with: apt-get install chromium")
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as environment:
        # Playwright runs an event loop in this thread, where Django would refuse to query the database.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"],
        )
        expect.set_options(timeout=TIMEOUT)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, live_server) -> Iterator[ErrorCollector]:
    """A browser page on the live server. The test fails if any errors were collected."""
    context = browser.new_context(base_url=live_server.url, viewport=LAPTOP, timezone_id="UTC", locale="en-US")
    context.set_default_timeout(TIMEOUT)
    visit = ErrorCollector(context.new_page(), live_server.url)
    yield visit
    context.close()
    assert visit.faults == []


@pytest.fixture
def screenshot() -> Callable[..., None]:
    """If SCREENSHOTS is set, save screenshots of a page to docs/, in phone and laptop width."""

    def take(page: Page, name: str, *, of: Locator | None = None) -> None:
        if not os.environ.get("SCREENSHOTS"):
            return
        for device, size in (("phone", PHONE), ("laptop", LAPTOP)):
            page.set_viewport_size(size)
            if of:
                of.evaluate("element => element.scrollIntoView({block: 'end'})")
            page.screenshot(path=DOCS / f"{name}-{device}.png", animations="disabled")

    return take
