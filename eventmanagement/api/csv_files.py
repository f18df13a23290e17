"""Responses with all rows of a list, as a CSV file (RFC 4180)."""

import csv
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from io import TextIOWrapper
from tempfile import TemporaryFile
from typing import IO, Any

from django.db import connection
from django.db.models import QuerySet
from django.http import FileResponse

from eventmanagement.api.mixins import AnyField, CachedFieldsMixin, readable_fields
from eventmanagement.database.errors import Unavailable
from eventmanagement.database.queries import iterate_snapshot

# In seconds: the maximum time for reading all rows. Together with the wait for a thread (10 seconds at most), it is
# below the 60 seconds after which reverse proxies give up.
MAX_SECONDS = 45
# A spreadsheet program evaluates a cell that begins with one of these as a formula (OWASP, "CSV Injection"). The last
# four are full-width forms of the first four.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# "header" says that the first line has the names of the columns. There is no byte order mark: programs would read it as
# part of the first name, and the charset is given here.
CONTENT_TYPE = "text/csv; charset=utf-8; header=present"


def csv_response(
    rows: "QuerySet[Any, Any]", serializer_class: type[CachedFieldsMixin], disposition: str
) -> FileResponse:
    """Return a CSV file with a line for each row. The columns are the fields of the serializer.

    All rows are read from one snapshot of the database, into a temporary file on disk. Then the database connection is
    given back, so a slow client holds neither a transaction nor a connection. ``disposition`` is the header
    Content-Disposition. Raises Unavailable if reading takes more than MAX_SECONDS, or if the file can't be written.
    """
    try:
        response = FileResponse(_file_of(rows, serializer_class), content_type=CONTENT_TYPE)
    except OSError as error:
        # For example, no space is left on the disk.
        raise Unavailable(f"the temporary file can't be written: {error.strerror}") from error
    response["Content-Disposition"] = disposition
    response["Cache-Control"] = "private, no-store"
    return response


def _file_of(rows: "QuerySet[Any, Any]", serializer_class: type[CachedFieldsMixin]) -> IO[bytes]:
    """Return the open file, and give the database connection back. After an error, the file is closed."""
    with ExitStack() as on_error:
        # The file has no name in the file system, so it is gone as soon as it is closed, even after a crash.
        file = on_error.enter_context(TemporaryFile())
        _write(file, rows, serializer_class)
        # Within a transaction of the caller, the connection stays open.
        if not connection.in_atomic_block:
            connection.close()
        file.seek(0)
        on_error.pop_all()
        return file


def _write(file: IO[bytes], rows: "QuerySet[Any, Any]", serializer_class: type[CachedFieldsMixin]) -> None:
    fields = readable_fields(serializer_class)
    columns = rows.values_list(*("__".join(field.source_attrs) for field in fields))
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow([field.field_name for field in fields])
    # After an error, closing ends the transaction at once.
    with closing(iterate_snapshot(columns)) as found:
        for row in _in_time(found):
            writer.writerow(map(cell, fields, row))
    text.flush()
    # Otherwise the file would be closed together with this wrapper.
    text.detach()


def _in_time(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows. Raises Unavailable after MAX_SECONDS."""
    deadline = time.monotonic() + MAX_SECONDS
    for row in rows:
        if time.monotonic() > deadline:
            raise Unavailable(f"reading all rows took more than {MAX_SECONDS} seconds")
        yield row


def cell(field: AnyField, value: Any) -> str:
    """Return the text of a cell: the value as the field shows it in JSON, or nothing for null.

    A text that looks like a formula gets a leading apostrophe.
    """
    if value is None:
        return ""
    shown = field.to_representation(value)
    if isinstance(shown, bool):
        return "true" if shown else "false"
    return f"'{shown}" if isinstance(shown, str) and shown.startswith(FORMULA_STARTS) else str(shown)
