"""Each kind of request has its own thread pool."""

import pytest

from eventmanagement.serving import lanes
from eventmanagement.serving.lanes import MAX_QUEUE_LENGTH, THREADS, Lane, is_mounted, lane_of


@pytest.mark.parametrize(
    ("method", "path", "query", "lane"),
    [
        ("GET", "/healthz", "", Lane.HEALTH),
        ("GET", "/readyz", "", Lane.READINESS),
        ("GET", "/admin/x/healthz", "", Lane.READS),
        ("GET", "/admin/x/readyz", "", Lane.READS),
        ("POST", "/api/authentication/login/", "", Lane.ACCOUNTS),
        ("POST", "/api/signup/", "", Lane.ACCOUNTS),
        ("POST", "/api/%6Cogin/", "", Lane.ACCOUNTS),
        ("POST", "/api/authentication/password/", "", Lane.ACCOUNTS),
        ("POST", "/api/password/", "", Lane.ACCOUNTS),
        ("POST", "/api/authentication/delete-account/", "", Lane.ACCOUNTS),
        ("POST", "/api/delete-account/", "", Lane.ACCOUNTS),
        ("GET", "/api/authentication/me/", "", Lane.READS),
        ("PATCH", "/api/me/", "", Lane.WRITES),
        ("POST", "/admin/login/", "next=/admin/", Lane.ACCOUNTS),
        ("POST", "/admin/auth/user/1/password/", "", Lane.ACCOUNTS),
        ("GET", "/api/events/", "search=jazz", Lane.QUERIES),
        ("GET", "/api/events/", "page=2&search=jazz", Lane.QUERIES),
        ("GET", "/api/events/", "%73earch=jazz", Lane.QUERIES),
        ("GET", "/admin/event/event/", "q=jazz", Lane.QUERIES),
        ("GET", "/api/calendar/key.ics", "", Lane.QUERIES),
        ("GET", "/api/reservation/calendar/key.ics", "", Lane.QUERIES),
        ("GET", "/api/events/1/calendar.ics", "", Lane.READS),
        ("POST", "/api/calendar/", "", Lane.WRITES),
        ("GET", "/admin/event/event/1/attendees.csv", "", Lane.QUERIES),
        ("POST", "/api/reservations/", "", Lane.BOOKINGS),
        ("DELETE", "/api/reservation/reservations/1/", "", Lane.BOOKINGS),
        ("POST", "/api/waitlist/", "", Lane.BOOKINGS),
        ("DELETE", "/api/reservation/waitlist/1/", "", Lane.BOOKINGS),
        ("GET", "/api/events/1/waitlist/", "", Lane.READS),
        ("POST", "/api/events/1/check-in/", "", Lane.BOOKINGS),
        ("DELETE", "/api/event/events/1/check-in/7/", "", Lane.BOOKINGS),
        ("POST", "/api/events/1/cancel/", "", Lane.WRITES),
        ("DELETE", "/api/event/events/1/total-reservations/7/", "", Lane.WRITES),
        ("PATCH", "/api/events/1/", "search=x", Lane.WRITES),
        ("POST", "/api/event/events/", "", Lane.WRITES),
        ("POST", "/admin/reservation/reservation/add/", "", Lane.WRITES),
        ("POST", "/admin/event/event/add/", "", Lane.WRITES),
        ("GET", "/api/events/", "", Lane.READS),
        ("GET", "/api/events/", "ordering=capacity", Lane.QUERIES),
        ("GET", "/api/events/", "page=30000", Lane.QUERIES),
        ("HEAD", "/api/events/1/", "", Lane.READS),
        ("GET", "/docs/swagger/", "", Lane.READS),
        ("OPTIONS", "*", "", Lane.READS),
        ("OPTIONS", "/api/login/", "", Lane.READS),
        ("OPTIONS", "/api/reservations/", "", Lane.READS),
        ("OPTIONS", "/api/events/1/", "", Lane.READS),
        ("OPTIONS", "/admin/event/event/", "q=jazz", Lane.QUERIES),
    ],
)
def test_lane_of_a_request(method, path, query, lane):
    assert lane_of(method, path, query) is lane


def test_health_path_includes_mount_path(monkeypatch):
    monkeypatch.setattr(lanes, "MOUNT_PATH", "/booking")

    assert lane_of("GET", "/booking/healthz", "") is Lane.HEALTH
    assert lane_of("GET", "/healthz", "") is Lane.READS
    assert lane_of("POST", "/booking/api/reservations/", "") is Lane.BOOKINGS


@pytest.mark.parametrize(
    ("mount_path", "path", "expected"),
    [
        ("", "/healthz", True),
        ("", "*", True),
        ("/booking", "/booking", True),
        ("/booking", "/booking/", True),
        ("/booking", "/booking/healthz", True),
        ("/booking", "/bookings/", False),
        ("/booking", "/Booking/", False),
        ("/booking", "//booking/", False),
        ("/booking", "/healthz", False),
        ("/booking", "/", False),
        ("/booking", "*", False),
    ],
)
def test_paths_outside_the_mount_path(monkeypatch, mount_path, path, expected):
    monkeypatch.setattr(lanes, "MOUNT_PATH", mount_path)

    assert is_mounted(path) is expected


def test_every_lane_has_threads_and_a_queue():
    assert THREADS.keys() == MAX_QUEUE_LENGTH.keys() == set(Lane)
    assert min(THREADS.values()) > 0
