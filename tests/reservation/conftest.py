import pytest
from django.db import connection, models

from event.models import Event
from reservation.models import Reservation


@pytest.fixture
def without():
    """Drop constraints for the duration of the test."""
    dropped = []

    def drop(model, name):
        constraint = next(each for each in model._meta.constraints if each.name == name)
        with connection.schema_editor() as editor:
            editor.remove_constraint(model, constraint)
        dropped.append((model, constraint))

    yield drop
    models.QuerySet(Reservation).delete()
    models.QuerySet(Event).delete()
    for model, constraint in dropped:
        with connection.schema_editor() as editor:
            editor.add_constraint(model, constraint)
