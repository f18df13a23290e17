"""The format of dates and times, in request bodies and in filters.

Django's own parser uses ``datetime.fromisoformat``, whose formats depend on the Python version. It also accepts week
dates, dates without a time, and any character between date and time.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

# In characters. The longest format has 35.
MAX_TIME_LENGTH = 64
INVALID_TIME = "Enter a date and a time in ISO 8601 format, such as 2035-06-22T19:00:00Z or 2035-06-22T21:00:00+02:00."
OUT_OF_RANGE = "This date and time is out of range."
FORMAT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:Z|([+-])(\d\d)(?::?([0-5]\d))?)?",
    re.ASCII | re.IGNORECASE,
)


def parse_time(text: str) -> datetime:
    """Parse a calendar date and a time in ISO 8601 format, and convert it to UTC. A time without a zone is UTC.

    Seconds are optional. Digits after the microseconds are dropped. Raises ValueError with a message for the client.
    """
    match = FORMAT.fullmatch(text.strip()) if len(text) <= MAX_TIME_LENGTH else None
    if match is None:
        raise ValueError(INVALID_TIME)
    *date_and_time, fraction, sign, hours, minutes = match.groups("0")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        year, month, day, hour, minute, second = map(int, date_and_time)
        moment = datetime(year, month, day, hour, minute, second, int(fraction[:6].ljust(6, "0")), zone)
    except ValueError:
        # A date or an offset that does not exist, such as February 30.
        raise ValueError(INVALID_TIME) from None
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(OUT_OF_RANGE) from None
