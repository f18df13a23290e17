import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User


@pytest.fixture
def meanwhile(monkeypatch):
    """Change the account between the check of its password and the rest of the request."""

    def change_meanwhile(change):
        def authenticate_and_change(request, **credentials):
            user = authenticate(request, **credentials)
            change(User.objects.get(pk=user.pk))
            return user

        monkeypatch.setattr("authentication.login.authenticate", authenticate_and_change)

    return change_meanwhile
