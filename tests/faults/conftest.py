"""Fixtures of the fault tests. They use the module's fixture ``running``: first the service, then the cluster."""

import pytest

EVENT = {"title": "Concert", "capacity": 5, "start_time": "2999-01-01T00:00:00Z", "end_time": "2999-01-02T00:00:00Z"}


@pytest.fixture
def service(running):
    return running[0]


@pytest.fixture
def cluster(running):
    return running[1]


@pytest.fixture
def token(service):
    return service.sign_in("alice")


@pytest.fixture
def event(service, token):
    return service.request("POST", "/api/events/", EVENT, token).json["id"]


def assert_unavailable(response):
    assert response.status == 503
    assert response.headers["Content-Type"] == "application/json"
    assert int(response.headers["Retry-After"]) > 0
    assert response.json["code"] == "unavailable"
