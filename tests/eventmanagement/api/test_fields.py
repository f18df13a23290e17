"""Strings that are too long are rejected before any other validation."""

import pytest
from rest_framework.exceptions import ValidationError

from authentication.serializers import CredentialsSerializer, SignupSerializer
from event.serializers import EventSerializer
from eventmanagement.api.fields import CharField, EmailField

TOO_LONG = "Ensure this field has no more than 5 characters."
INVALID = "Not a valid string."


def refusal(field, value):
    with pytest.raises(ValidationError) as refused:
        field.run_validation(value)
    return refused.value.detail


@pytest.mark.parametrize("field_class", [CharField, EmailField])
def test_no_validator_sees_a_long_text(field_class):
    seen = []
    field = field_class(max_length=5, validators=[seen.append])

    assert refusal(field, "x" * 6) == [TOO_LONG]
    assert seen == []


def test_nothing_transforms_a_long_text():
    class Transforming(CharField):
        def to_internal_value(self, data):
            return 1 / 0

    assert refusal(Transforming(max_length=5), "x" * 6) == [TOO_LONG]


def test_longest_text_is_read():
    assert CharField(max_length=5).run_validation("x" * 5) == "x" * 5


def test_spaces_around_a_text_do_not_count():
    assert CharField(max_length=5).run_validation(" " * 9 + "x" * 5 + "\n") == "x" * 5


def test_spaces_count_where_they_are_kept():
    assert refusal(CharField(max_length=5, trim_whitespace=False), "x" + " " * 5) == [TOO_LONG]


def test_field_without_a_limit_reads_any_text():
    assert CharField().run_validation("x" * 1000) == "x" * 1000


class Unwritable(list):
    def __str__(self):
        raise AssertionError("converted to a string")


@pytest.mark.parametrize(
    "value", [Unwritable(), {}, True, b"x", 10**5000], ids=["list", "object", "boolean", "bytes", "number"]
)
def test_non_string_is_refused_before_conversion(value):
    assert refusal(CharField(max_length=5), value) == [INVALID]


def test_number_is_read_as_a_text():
    assert CharField(max_length=5).run_validation(12345) == "12345"


def test_number_of_many_digits_is_too_long():
    assert refusal(CharField(max_length=5), 123456) == [TOO_LONG]


@pytest.mark.parametrize(("options", "expected"), [({"allow_null": True}, None), ({"default": "x"}, "x")])
def test_missing_values_are_left_to_rest_framework(options, expected):
    field = CharField(max_length=5, **options)

    assert (field.run_validation(None) if expected is None else field.run_validation()) == expected


class Watched(str):
    """A string that fails the test if anything but its length is used."""

    def __iter__(self):
        raise AssertionError("the characters were read")

    def strip(self, *characters):
        return self

    __str__ = __iter__


@pytest.mark.parametrize(
    ("serializer", "field"),
    [
        (EventSerializer, "title"),
        (EventSerializer, "description"),
        (SignupSerializer, "username"),
        (SignupSerializer, "email"),
        (SignupSerializer, "password"),
        (CredentialsSerializer, "username"),
        (CredentialsSerializer, "password"),
    ],
)
def test_text_that_is_too_long_is_only_measured(serializer, field):
    text = serializer().fields[field]

    with pytest.raises(ValidationError) as refusal:
        text.run_validation(Watched("x" * (text.max_length + 1)))

    assert [detail.code for detail in refusal.value.detail] == ["max_length"]
