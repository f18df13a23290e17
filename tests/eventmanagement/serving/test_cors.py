"""Cross-origin requests: a page of an allowed origin can call the whole API and read its errors."""

import pytest
from django.test import Client
from django.urls import get_resolver

from eventmanagement.database.errors import Unavailable
from tests.database import replace_list
from tests.test_routes import all_routes, path_of

ORIGIN = "https://app.example"
ROUTES = [route for route in all_routes(get_resolver().url_patterns) if route.startswith("/api/")]
PATHS = [path_of(route.replace("<path:path>", "nothing")) for route in ROUTES]
EXPOSED = {"content-disposition", "etag", "retry-after", "x-request-id"}


@pytest.fixture
def allow(read, settings):
    """Return a function that loads the middleware and the settings for these origins."""

    def load(origins):
        loaded = vars(read(SECRET_KEY="x", CORS_ALLOWED_ORIGINS=origins))
        for name in ("MIDDLEWARE", *(name for name in loaded if name.startswith("CORS_"))):
            setattr(settings, name, loaded[name])

    return load


@pytest.fixture
def page(allow):
    """A client in a page of an allowed origin."""
    allow(f"https://other.example,{ORIGIN}")
    return Client(headers={"origin": ORIGIN})


def names(header):
    return {name.strip().lower() for name in header.split(",")}


def assert_readable(response, status):
    assert response.status_code == status
    assert response["Access-Control-Allow-Origin"] == ORIGIN
    assert names(response["Access-Control-Expose-Headers"]) == EXPOSED
    assert "Access-Control-Allow-Credentials" not in response
    assert "origin" in names(response["Vary"])


@pytest.mark.parametrize("path", PATHS)
def test_preflight_is_accepted(page, path, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = page.options(
            path,
            headers={
                "access-control-request-method": "PATCH",
                "access-control-request-headers": "authorization,if-match",
            },
        )

    assert_readable(response, 200)
    assert names(response["Access-Control-Allow-Methods"]) >= {"get", "post", "put", "patch", "delete"}
    allowed = names(response["Access-Control-Allow-Headers"])
    assert allowed >= {"authorization", "content-type", "if-match", "if-none-match", "x-request-id"}
    assert response["X-Content-Type-Options"] == "nosniff"


def test_options_without_preflight_is_405(page):
    assert_readable(page.options("/api/events/"), 405)


def test_response_is_readable(page, event):
    response = page.get(f"/api/events/{event.pk}/")

    assert_readable(response, 200)
    assert response["ETag"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/reservations/", {}, 401),
        ("GET", "/api/nothing", {}, 404),
        ("DELETE", "/api/events/", {}, 405),
        ("POST", "/api/signup/", {"transfer-encoding": "chunked"}, 411),
        ("POST", "/api/signup/", {"content-length": "99999999"}, 413),
        ("POST", "/api/signup/", {}, 400),
        ("GET", "/api/events/", {"host": "evil.example"}, 400),
    ],
)
def test_error_is_readable(page, method, path, headers, status):
    assert_readable(page.generic(method, path, headers=headers), status)


@pytest.mark.parametrize(("error", "status"), [(Unavailable("busy"), 503), (ZeroDivisionError(), 500)])
def test_error_of_the_server_is_readable(page, monkeypatch, error, status):
    def fail(queryset):
        raise error

    replace_list(monkeypatch, fail)
    page.raise_request_exception = False

    assert_readable(page.get("/api/events/"), status)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://sub.app.example",
        "https://app.example.evil.example",
        "null",
        "https://[",
        "\0",
    ],
)
def test_other_origins_are_not_allowed(page, origin):
    response = page.get("/api/events/", headers={"origin": origin})

    assert response.status_code == 200
    assert "Access-Control-Allow-Origin" not in response
    assert "origin" in names(response["Vary"])


@pytest.mark.parametrize("path", ["/admin/login/", "/docs/swagger/", "/schema/", "/healthz"])
def test_other_paths_are_not_readable(page, path):
    assert "Access-Control-Allow-Origin" not in page.get(path)


def test_middleware_is_not_installed_by_default(read, client):
    assert not [name for name in read(SECRET_KEY="x").MIDDLEWARE if "cors" in name]
    assert "Vary" not in client.get("/api/nothing", headers={"origin": ORIGIN})
