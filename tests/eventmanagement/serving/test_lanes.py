"""Slow requests of one kind don't take the threads of another."""

import pytest

from eventmanagement.serving.lanes import THREADS, Lane, lane_of


@pytest.mark.parametrize(
    ("method", "path", "query", "lane"),
    [
        ("GET", "/healthz", "", Lane.HEALTH),
        ("GET", "/readyz", "", Lane.READINESS),
        ("GET", "/booking/healthz", "", Lane.HEALTH),
        ("POST", "/api/authentication/login/", "", Lane.ACCOUNTS),
        ("POST", "/api/signup/", "", Lane.ACCOUNTS),
        ("POST", "/api/%6Cogin/", "", Lane.ACCOUNTS),
        ("POST", "/admin/login/", "next=/admin/", Lane.ACCOUNTS),
        ("POST", "/admin/auth/user/1/password/", "", Lane.ACCOUNTS),
        ("GET", "/api/events/", "search=jazz", Lane.SEARCHES),
        ("GET", "/api/events/", "page=2&search=jazz", Lane.SEARCHES),
        ("GET", "/api/events/", "%73earch=jazz", Lane.SEARCHES),
        ("GET", "/admin/event/event/", "q=jazz", Lane.SEARCHES),
        ("POST", "/api/reservations/", "", Lane.WRITES),
        ("DELETE", "/api/reservations/1/", "", Lane.WRITES),
        ("PATCH", "/api/events/1/", "search=x", Lane.WRITES),
        ("POST", "/admin/event/event/add/", "", Lane.WRITES),
        ("GET", "/api/events/", "", Lane.READS),
        ("GET", "/api/events/", "research=x", Lane.READS),
        ("HEAD", "/api/events/1/", "", Lane.READS),
        ("GET", "/docs/swagger/", "", Lane.READS),
        ("OPTIONS", "*", "", Lane.WRITES),
    ],
)
def test_lane_of_a_request(method, path, query, lane):
    assert lane_of(method, path, query) is lane


def test_every_lane_has_threads():
    assert THREADS.keys() == set(Lane)
    assert min(THREADS.values()) > 0
