import pytest
from rest_framework.authtoken.models import Token


def test_logout_deletes_token(as_user, bob, routes):
    client = as_user(bob)

    response = client.post(routes.logout)

    assert response.status_code == 204
    assert response.content == b""
    assert not Token.objects.exists()
    assert client.post(routes.logout).status_code == 401


def test_logout_leaves_others_signed_in(as_user, bob, carol, routes):
    carols = as_user(carol)

    as_user(bob).post(routes.logout)

    assert carols.get(routes.reservations).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Token", "Token x", "Token " + "0" * 40, "Token a b", "Bearer " + "0" * 40, "Token nul\0", "Token ü"],
)
def test_missing_token_is_401(api, routes, authorization):
    response = api.post(routes.logout, HTTP_AUTHORIZATION=authorization)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"


def test_inactive_account_is_401(as_user, bob, routes):
    client = as_user(bob)
    bob.is_active = False
    bob.save()

    assert client.get(routes.reservations).status_code == 401
