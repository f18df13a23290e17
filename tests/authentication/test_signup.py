import pytest
from django.contrib.auth.models import User
from django.db import connection

from authentication.serializers import SignupSerializer
from eventmanagement.environment import rate
from tests.races import race

DAVE = {"username": "dave", "email": "dave@example.org", "password": "correct horse battery"}


def test_signup_creates_an_account(api, routes):
    response = api.post(routes.signup, DAVE)

    dave = User.objects.get(username="dave")
    assert response.status_code == 201
    assert response.json() == {"id": dave.pk, "username": "dave", "email": "dave@example.org"}
    assert dave.check_password("correct horse battery")


def test_signup_takes_a_form(api, routes):
    response = api.post(routes.signup, DAVE, format="multipart")

    assert response.status_code == 201


def test_email_is_optional(api, routes):
    response = api.post(routes.signup, {"username": "dave", "password": DAVE["password"]})

    assert response.status_code == 201
    assert response.json()["email"] == ""


def test_password_is_hashed_with_scrypt(api, routes):
    api.post(routes.signup, DAVE)

    assert User.objects.get().password.startswith("scrypt$")


def test_password_keeps_its_spaces(api, routes):
    api.post(routes.signup, DAVE | {"password": "  spaces around  "})

    assert User.objects.get().check_password("  spaces around  ")


@pytest.mark.parametrize("privilege", ["is_staff", "is_superuser", "is_active", "id", "groups", "date_joined"])
def test_other_fields_are_ignored(api, routes, privilege):
    api.post(routes.signup, DAVE | {"is_active": False, "id": 77, privilege: True})

    dave = User.objects.get()
    assert (dave.is_staff, dave.is_superuser, dave.is_active, dave.pk == 77) == (False, False, True, False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", ""),
        ("username", "has spaces"),
        ("username", "x" * 151),
        ("username", "nul\0"),
        ("username", None),
        ("username", ["dave"]),
        ("username", "\ufb03" * 51),
        ("email", "not an address"),
        ("email", "x" * 250 + "@example.org"),
        ("password", ""),
        ("password", "short"),
        ("password", "password"),
        ("password", "0123456789"),
        ("password", "dave@example"),
        ("password", "x" * 4097),
    ],
)
def test_bad_values_are_refused_on_their_field(api, routes, field, value):
    response = api.post(routes.signup, DAVE | {field: value})

    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert not User.objects.exists()


@pytest.mark.parametrize("field", ["username", "password"])
def test_missing_values_are_refused_on_their_field(api, routes, field):
    response = api.post(routes.signup, {name: value for name, value in DAVE.items() if name != field})

    assert response.status_code == 400
    assert list(response.json()) == [field]


@pytest.mark.parametrize("username", ["bob", "b\uff4fb"], ids=["same", "look-alike"])
def test_taken_username_is_refused(api, routes, bob, username):
    response = api.post(routes.signup, DAVE | {"username": username})

    assert response.status_code == 400
    assert response.json() == {"username": ["A user with that username already exists."]}


def test_concurrently_taken_username_is_refused(api, routes, monkeypatch):
    check = SignupSerializer.validate

    def take_it_first(self, account):
        User.objects.create_user("dave")
        return check(self, account)

    monkeypatch.setattr(SignupSerializer, "validate", take_it_first)

    response = api.post(routes.signup, DAVE)

    assert response.status_code == 400
    assert response.json() == {"username": ["A user with that username already exists."]}


def test_limit_counts_signups_by_address(api, routes, settings):
    settings.THROTTLE_SIGNUP = rate("2/day")
    api.post(routes.signup, DAVE | {"username": "first"})
    api.post(routes.signup, DAVE | {"username": "second"})

    response = api.post(routes.signup, DAVE)
    elsewhere = api.post(routes.signup, DAVE, REMOTE_ADDR="192.0.2.1")

    assert response.status_code == 429
    assert response.json()["code"] == "throttled"
    assert 0 < int(response["Retry-After"]) <= 24 * 60 * 60
    assert elsewhere.status_code == 201


@pytest.mark.parametrize(
    "refused",
    [DAVE | {"username": "bob"}, DAVE | {"password": "short"}, {}, []],
    ids=["taken username", "bad field", "no fields", "no object"],
)
def test_limit_counts_refused_signups(api, routes, settings, bob, refused):
    settings.THROTTLE_SIGNUP = rate("1/day")
    assert api.post(routes.signup, refused).status_code == 400

    assert api.post(routes.signup, DAVE).status_code == 429


def test_limit_counts_bodies_that_cannot_be_read(api, routes, settings):
    settings.THROTTLE_SIGNUP = rate("1/day")
    assert api.post(routes.signup, data="{", content_type="application/json").status_code == 400

    assert api.post(routes.signup, DAVE).status_code == 429


def test_limit_hides_existing_usernames(api, routes, settings, bob):
    settings.THROTTLE_SIGNUP = rate("1/day")
    api.post(routes.signup, {})

    responses = [api.post(routes.signup, DAVE | {"username": username}) for username in ("bob", "dave")]

    assert [response.status_code for response in responses] == [429, 429]


def test_methods_that_are_refused_are_not_counted(api, routes, settings):
    settings.THROTTLE_SIGNUP = rate("1/day")
    api.get(routes.signup)

    assert api.post(routes.signup, DAVE).status_code == 201


def test_limit_can_be_switched_off(api, routes, settings):
    settings.THROTTLE_SIGNUP = rate("off")

    responses = [api.post(routes.signup, DAVE | {"username": f"dave{number}"}) for number in range(3)]

    assert [response.status_code for response in responses] == [201, 201, 201]


@pytest.mark.django_db(transaction=True)
def test_limit_is_exact_under_concurrency(api, settings):
    settings.THROTTLE_SIGNUP = rate("3/day")

    def signup(number):
        return api.post("/api/authentication/signup/", DAVE | {"username": f"dave{number}"}).status_code

    outcomes = race([lambda number=number: signup(number) for number in range(8)])

    assert sorted(outcomes) == [201] * 3 + [429] * 5


@pytest.mark.django_db(transaction=True)
def test_limit_holds_when_refused_signups_come_at_once(api, settings, bob):
    settings.THROTTLE_SIGNUP = rate("3/day")
    taken = DAVE | {"username": "bob"}

    outcomes = race([lambda: api.post("/api/authentication/signup/", taken).status_code] * 8)

    assert sorted(outcomes) == [400] * 3 + [429] * 5


@pytest.mark.django_db(transaction=True)
def test_hash_is_made_outside_the_transaction(api, monkeypatch):
    hashed_in_transaction = []
    set_password = User.set_password

    def watch(user, password):
        hashed_in_transaction.append(connection.in_atomic_block)
        set_password(user, password)

    monkeypatch.setattr(User, "set_password", watch)

    api.post("/api/authentication/signup/", DAVE)

    assert hashed_in_transaction == [False]
