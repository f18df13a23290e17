"""Dates and times are read in one format, in request bodies and in filters, and on every version of Python."""

from datetime import UTC, datetime

import pytest

from event.models import Event
from eventmanagement.api.times import INVALID_TIME, OUT_OF_RANGE, parse_time
from tests.conftest import LONG, SHORT
from tests.event.test_create import CONCERT


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2035-06-22T19:00:00Z", datetime(2035, 6, 22, 19, tzinfo=UTC)),
        ("2035-06-22T19:00", datetime(2035, 6, 22, 19, tzinfo=UTC)),
        ("2035-06-22 19:00:00", datetime(2035, 6, 22, 19, tzinfo=UTC)),
        (" 2035-06-22T19:00\n", datetime(2035, 6, 22, 19, tzinfo=UTC)),
        ("2035-06-22t19:00:00z", datetime(2035, 6, 22, 19, tzinfo=UTC)),
        ("2035-06-22T19:00:00+02:00", datetime(2035, 6, 22, 17, tzinfo=UTC)),
        ("2035-06-22T19:00:00+0200", datetime(2035, 6, 22, 17, tzinfo=UTC)),
        ("2035-06-22T19:00:00-02", datetime(2035, 6, 22, 21, tzinfo=UTC)),
        ("2035-06-22T19:00-03:30", datetime(2035, 6, 22, 22, 30, tzinfo=UTC)),
        ("2035-06-22T19:00:00-00:00", datetime(2035, 6, 22, 19, tzinfo=UTC)),
        ("2035-06-22T19:00:00.5Z", datetime(2035, 6, 22, 19, 0, 0, 500_000, tzinfo=UTC)),
        ("2035-06-22T19:00:00,25Z", datetime(2035, 6, 22, 19, 0, 0, 250_000, tzinfo=UTC)),
        ("2035-06-22T19:00:00.123456789Z", datetime(2035, 6, 22, 19, 0, 0, 123_456, tzinfo=UTC)),
        ("0001-01-01T00:00:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_time_is_read(text, moment):
    read = parse_time(text)

    assert read == moment
    assert read.tzinfo is UTC


NOT_TIMES = {
    "a word": "soon",
    "nothing": " ",
    "a date": "2035-06-22",
    "a date without hyphens": "20350622",
    "a week date": "2035-W25-5",
    "a week date and a time": "2035-W25-5T19:00",
    "an ordinal date": "2035-173",
    "an ordinal date and a time": "2035-173T19:00",
    "no hyphens": "20350622T190000Z",
    "no minutes": "2035-06-22T19",
    "short numbers": "2035-6-22T9:00",
    "midnight as 24": "2035-06-22T24:00",
    "a leap second": "2035-06-22T19:00:60Z",
    "a day that does not exist": "2035-02-30T19:00",
    "another separator": "2035-06-22x19:00",
    "a fraction of a minute": "2035-06-22T19:00,5Z",
    "an unescaped plus": "2035-06-22T19:00:00 02:00",
    "a zone of a day": "2035-06-22T19:00:00+24:00",
    "a zone with 60 minutes": "2035-06-22T19:00:00+01:60",
    "a zone with seconds": "2035-06-22T19:00:00+02:00:30",
    "other digits": "٢035-06-22T19:00:00Z",
    "many digits": f"2035-06-22T19:00:00.{'1' * 100_000}Z",
}


@pytest.mark.parametrize("text", NOT_TIMES.values(), ids=NOT_TIMES)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"^Enter a date and a time") as refusal:
        parse_time(text)

    assert str(refusal.value) == INVALID_TIME


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_time_out_of_range_in_utc_is_refused(text):
    with pytest.raises(ValueError, match=OUT_OF_RANGE):
        parse_time(text)


@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("text", ["2035-06-22", "2035-W25-5T19:00", "2035-06-22T24:00"])
def test_body_and_filter_refuse_the_same(as_user, alice, routes, text):
    client = as_user(alice)

    body = client.post(routes.events, CONCERT | {"start_time": text})
    listed = client.get(routes.events, {"start_after": text})

    assert (body.status_code, body.json()) == (400, {"start_time": [INVALID_TIME]})
    assert (listed.status_code, listed.json()) == (
        400,
        {"start_after": [f"{INVALID_TIME} In a URL, escape the plus sign."]},
    )
    assert not Event.objects.exists()


@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
def test_time_without_a_zone_is_utc(as_user, alice, routes):
    client = as_user(alice)

    created = client.post(routes.events, CONCERT | {"start_time": "2999-06-01T19:00:00"}).json()
    later = client.get(routes.events, {"start_after": "2999-06-01T18:59:59"}).json()
    earlier = client.get(routes.events, {"start_before": "2999-06-01T19:00"}).json()

    assert created["start_time"] == "2999-06-01T19:00:00Z"
    assert (later["count"], earlier["count"]) == (1, 0)
