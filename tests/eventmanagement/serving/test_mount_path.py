"""The service under a mount path, behind a proxy that terminates TLS and passes the whole path."""

import http.client
import json
import re
from contextlib import closing
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urljoin

import pytest
from django.db import connection

from tests.service import TIMEOUT, Response, running_service

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="uses little of it, so one run is enough")

ACCOUNT = {"username": "boss", "password": "correct horse battery"}
CREATE_BOSS = """
from datetime import UTC, datetime
from django.contrib.auth.models import User
from event.models import Event
boss = User.objects.create_superuser("boss", password="correct horse battery")
start, end = (datetime(2999, 1, day, tzinfo=UTC) for day in (1, 2))
for title in "abc":
    Event.objects.create(title=title, organizer=boss, capacity=1, start_time=start, end_time=end)
"""


class Browser:
    """A client with cookies. It follows no redirects."""

    def __init__(self, port):
        self.port = port
        self.cookies = {}
        self.paths = {}

    def request(self, method, url, form=None, **headers):
        headers = {
            "Host": "localhost",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "203.0.113.9",
            "Referer": "https://localhost/",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            **({"Content-Type": "application/x-www-form-urlencoded"} if form else {}),
            **headers,
        }
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)) as client:
            client.request(method, url.removeprefix("https://localhost"), form and urlencode(form), headers)
            response = client.getresponse()
            for line in response.headers.get_all("Set-Cookie", []):
                for name, cookie in SimpleCookie(line).items():
                    self.cookies[name] = cookie.value
                    self.paths[name] = cookie["path"]
            return Response(response.status, dict(response.getheaders()), response.read().decode(errors="replace"))

    def get(self, url, **headers):
        return self.request("GET", url, **headers)

    def submit(self, page, action=None, **fields):
        """Submit a form of a page of the admin, to the page itself or to the form's action."""
        [token, *_] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(page).text)
        return self.request("POST", action or page, fields | {"csrfmiddlewaretoken": token})


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("mounted") / "log"


@pytest.fixture(scope="module")
def service(log):
    with running_service(log, ready="/booking/readyz", SCRIPT_NAME="/booking", TRUSTED_PROXIES="1") as (service, _):
        service.manage("shell", "--verbosity=0", "--command", CREATE_BOSS)
        yield service


@pytest.fixture
def browser(service):
    return Browser(service.port)


@pytest.mark.parametrize("path", ["/booking/healthz", "/booking/readyz"])
def test_health_checks(browser, path):
    assert browser.get(path, Host="10.0.0.7").status == 200


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/api/events/", "/bookings/", "/bookinghealthz", "//booking/healthz"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_path_outside_is_404(browser, log, path, method):
    response = browser.request(method, path, {"a": "b"} if method == "POST" else None)

    assert response.status == 404
    assert response.json == {"detail": "Not found.", "code": "not_found"}
    assert "Traceback" not in log.read_text()


def test_unknown_path_inside_is_404(browser):
    assert browser.get("/booking/nothing").status == 404
    assert browser.get("/booking/api/nothing").json["detail"] == "Not found."


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/booking", "/booking/docs/swagger/"),
        ("/booking/", "/booking/docs/swagger/"),
        ("/booking/docs/swagger", "/booking/docs/swagger/"),
        ("/booking/admin/", "/booking/admin/login/?next=/booking/admin/"),
        ("/booking/admin/event/event", "/booking/admin/login/?next=/booking/admin/event/event"),
    ],
)
def test_redirects_stay_inside(browser, path, location):
    assert browser.get(path).headers["Location"] == location


@pytest.mark.parametrize("path", ["/booking/docs/swagger/", "/booking/admin/login/"])
def test_pages_find_their_assets(browser, path):
    page = browser.get(path).text
    assets = [urljoin(path, asset) for asset in re.findall(r'<(?:link|script)[^>]+(?:href|src)="([^"]+)"', page)]

    assert len(assets) > 3
    assert {browser.get(asset).status for asset in assets} == {200}


def test_swagger_finds_the_document(browser):
    page = browser.get("/booking/docs/swagger/").text
    [script] = [url for url in re.findall(r'<script src="([^"]+)"', page) if "?" in url]
    [quoted] = re.findall(r'url: "([^"]+)"', browser.get(urljoin("/booking/docs/swagger/", script)).text)
    url = json.loads(f'"{quoted}"')

    document = browser.get(url, Accept="application/json").json

    assert url == "/booking/schema/"
    assert [server["url"] for server in document["servers"]] == ["/booking"]
    assert "/api/event/events/" in document["paths"]


def test_links_between_pages(browser):
    page = browser.get("https://localhost/booking/api/events/?page_size=1&page=2").json

    assert page["next"] == "https://localhost/booking/api/events/?page=3&page_size=1"
    assert page["previous"] == "https://localhost/booking/api/events/?page_size=1"
    assert browser.get(page["next"]).json["results"][0]["title"] == "c"


def test_admin_logs_in_and_out(browser):
    logged_in = browser.submit("/booking/admin/login/?next=/booking/admin/", **ACCOUNT)
    index = browser.get("/booking/admin/")
    saved = browser.submit("/booking/admin/auth/group/add/", name="Ushers")
    changelist = browser.get("/booking/admin/event/event")
    logged_out = browser.submit("/booking/admin/", "/booking/admin/logout/")

    assert (logged_in.status, logged_in.headers["Location"]) == (302, "/booking/admin/")
    assert index.status == 200
    links = re.findall(r'(?:href|action)="(/[^"]*)"', index.text)
    assert "/booking/admin/logout/" in links
    assert [link for link in links if not link.startswith("/booking")] == []
    assert (saved.status, saved.headers["Location"]) == (302, "/booking/admin/auth/group/")
    assert changelist.headers["Location"] == "/booking/admin/event/event/"
    assert logged_out.status == 200
    assert browser.get("/booking/admin/").status == 302


def test_cookies_are_only_for_the_path(browser):
    browser.submit("/booking/admin/login/?next=/booking/admin/", **ACCOUNT)

    assert browser.paths == {"csrftoken": "/booking", "sessionid": "/booking"}
