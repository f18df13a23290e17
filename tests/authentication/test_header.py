"""Which Authorization headers are accepted, and what the response to a bad one says."""

import pytest
from django.test import RequestFactory
from rest_framework.authtoken.models import Token
from rest_framework.request import Request

from authentication.tokens import TokenAuthentication

FORMAT = "Send it as `Authorization: Token <token>`."
UNKNOWN = "0123456789" * 4
INVALID = "The token is invalid. Log in to get a new one."
NO_SCHEME = f"The Authorization header has no scheme before the token. {FORMAT}"
UNKNOWN_SCHEME = f"The Authorization header has an unknown scheme. {FORMAT}"
NO_TOKEN = f"The Authorization header has no token. {FORMAT}"
SPACES = f"The token in the Authorization header has spaces. {FORMAT}"
TOO_LONG = "The Authorization header is too long."

# These are ignored where no token is needed.
IGNORED = {
    UNKNOWN: NO_SCHEME,
    "Basic": NO_SCHEME,
    "0" * 8000: NO_SCHEME,
    "Basic Ym9iOnNlY3JldA==": UNKNOWN_SCHEME,
    f"Tokens {UNKNOWN}": UNKNOWN_SCHEME,
    f"Token: {UNKNOWN}": UNKNOWN_SCHEME,
    "Basic " + "0" * 8000: UNKNOWN_SCHEME,
    "a " * 4000: UNKNOWN_SCHEME,
}
REFUSED = {
    "Token": NO_TOKEN,
    "bearer": NO_TOKEN,
    f"Token {UNKNOWN} {UNKNOWN}": SPACES,
    "Bearer a b c": SPACES,
    f"Token {UNKNOWN}": INVALID,
    f"Bearer {UNKNOWN}": INVALID,
    f"Token {UNKNOWN}0": INVALID,
    f'Token "{UNKNOWN}"': INVALID,
    "Token nul\0": INVALID,
    "Token ü": INVALID,
    "Token " + "0" * 8000: TOO_LONG,
    "Bearer " + "a " * 4000: TOO_LONG,
}


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "Bearer", "bearer", "BEARER"])
def test_both_schemes_are_accepted_in_any_case(api, bob, routes, scheme):
    token = Token.objects.create(user=bob)

    response = api.get(routes.reservations, headers={"authorization": f"{scheme} {token.key}"})

    assert response.status_code == 200


@pytest.mark.parametrize(("header", "detail"), (IGNORED | REFUSED).items(), ids=range(len(IGNORED | REFUSED)))
def test_response_says_what_is_wrong(api, routes, header, detail):
    response = api.get(routes.reservations, headers={"authorization": header})

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"
    assert response.data["detail"] == detail
    assert response.data["detail"].code == "authentication_failed"


@pytest.mark.parametrize("header", [None, "", " "])
def test_response_without_a_header_asks_for_one(api, routes, header):
    response = api.get(routes.reservations, headers={} if header is None else {"authorization": header})

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Token"
    assert response.data["detail"] == "Authentication credentials were not provided."
    assert response.data["detail"].code == "not_authenticated"


@pytest.mark.parametrize("header", IGNORED, ids=range(len(IGNORED)))
def test_other_schemes_are_ignored_where_no_token_is_needed(api, routes, header):
    assert api.get(routes.events, headers={"authorization": header}).status_code == 200


@pytest.mark.parametrize("header", REFUSED, ids=range(len(REFUSED)))
def test_bad_tokens_are_refused_everywhere(api, routes, header):
    assert api.get(routes.events, headers={"authorization": header}).status_code == 401


def test_token_of_an_inactive_account(api, bob, routes):
    token = Token.objects.create(user=bob)
    type(bob).objects.update(is_active=False)

    response = api.get(routes.reservations, headers={"authorization": f"Token {token.key}"})

    assert response.status_code == 401
    assert response.data["detail"] == "This account is inactive."


@pytest.mark.parametrize("header", IGNORED, ids=range(len(IGNORED)))
def test_response_does_not_repeat_the_header(api, routes, header):
    response = api.get(routes.reservations, headers={"authorization": header})

    assert UNKNOWN not in response.text
    assert "Ym9iOnNlY3JldA" not in response.text


def test_header_is_cut_before_it_is_split(monkeypatch):
    class Header(str):
        def split(self, *arguments):
            raise AssertionError("the whole header was split")

        def __getitem__(self, part):
            return str(self)[part]

    request = Request(RequestFactory().get("/"))
    request.META["HTTP_AUTHORIZATION"] = Header("Basic " + "a " * 4000)

    assert TokenAuthentication().authenticate(request) is None
    assert TokenAuthentication().explain(request) == UNKNOWN_SCHEME


def test_other_scheme_is_not_looked_up(api, routes, django_assert_num_queries):
    with django_assert_num_queries(0):
        api.get(routes.reservations, headers={"authorization": "Basic Ym9iOnNlY3JldA=="})
