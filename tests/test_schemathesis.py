"""Schemathesis tests the API against its OpenAPI document: no server errors and no undocumented responses."""

import pytest
import schemathesis
from django.contrib.auth.models import User
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, settings
from rest_framework.authtoken.models import Token
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from reservation.models import Reservation
from tests.ledger import assert_balanced

# These two checks expect that valid data is accepted and invalid data rejected, judged by the document alone. But a
# sold-out event rejects valid data, and a title may be a number, which is converted to a string.
EXCLUDED_CHECKS = [positive_data_acceptance, negative_data_rejection]

schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(public=True))


@pytest.fixture
def token(bob, alice, event):
    """The token of Bob, who attends Alice's event and organizes none."""
    Reservation.objects.book(user=bob, event_id=event.pk)
    return Token.objects.create(user=bob).key


@pytest.mark.django_db(transaction=True)
@schema.parametrize()
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    # All examples of an operation share one database, so an example may find data of an earlier one.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_api_matches_document(case, live_server, token):
    case.call_and_validate(
        base_url=live_server.url, headers={"Authorization": f"Token {token}"}, excluded_checks=EXCLUDED_CHECKS
    )

    assert User.objects.filter(username="bob").exists()
    assert_balanced()
