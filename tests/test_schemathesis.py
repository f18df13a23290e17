"""Schemathesis against the project's own document: whatever it makes up, no fault and nothing undocumented."""

import pytest
import schemathesis
from django.contrib.auth.models import User
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, settings
from rest_framework.authtoken.models import Token
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from reservation.models import Reservation
from tests.ledger import assert_balanced

# These two judge by the document alone what only the rules can: a sold-out event refuses good data,
# and a title may be a number, which is read as its text.
LEFT_OUT = [positive_data_acceptance, negative_data_rejection]

schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(public=True))


@pytest.fixture
def token(bob, alice, event):
    """Bob's, who attends Alice's event and organizes none."""
    Reservation.objects.book(user=bob, event_id=event.pk)
    return Token.objects.create(user=bob).key


@pytest.mark.django_db(transaction=True)
@schema.parametrize()
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    # The database is one for all examples of an operation: what one leaves behind, the next may find.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_document_is_kept(case, live_server, token):
    case.call_and_validate(
        base_url=live_server.url, headers={"Authorization": f"Token {token}"}, excluded_checks=LEFT_OUT
    )

    assert User.objects.filter(username="bob").exists()
    assert_balanced()
