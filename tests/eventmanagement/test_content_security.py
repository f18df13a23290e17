"""Every response has a Content-Security-Policy."""

import pytest


@pytest.mark.parametrize("path", ["/docs/swagger/", "/admin/login/", "/schema/"])
def test_pages_load_only_from_this_host(api, path):
    policy = api.get(path).headers["Content-Security-Policy"]

    assert set(policy.split("; ")) == {
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    }


@pytest.mark.parametrize("path", ["/api/event/events/", "/api/nowhere/", "/healthz"])
def test_json_loads_nothing(api, path):
    response = api.get(path)

    assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize("path", ["/docs/swagger/", "/admin/login/"])
def test_pages_carry_no_script_or_style_in_themselves(api, path):
    page = api.get(path).text

    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script") == page.count("<script src=")
