"""Every response has a Content-Security-Policy."""

import pytest


@pytest.mark.parametrize("path", ["/docs/swagger/", "/admin/login/", "/schema/", "/api/event/events/", "/api/nowhere/"])
def test_answers_allow_this_hosts_assets_only(api, path):
    policy = api.get(path).headers["Content-Security-Policy"]

    assert set(policy.split("; ")) == {
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    }


@pytest.mark.parametrize("path", ["/docs/swagger/", "/admin/login/"])
def test_pages_carry_no_script_or_style_in_themselves(api, path):
    page = api.get(path).text

    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script") == page.count("<script src=")
