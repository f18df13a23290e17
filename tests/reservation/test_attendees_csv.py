"""The attendees of an event as a CSV file."""

import csv
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from urllib.parse import unquote

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.urls import reverse

from event.models import Event
from eventmanagement.api import csv_files
from eventmanagement.api.csv_files import FORMULA_STARTS
from eventmanagement.api.downloads import content_disposition
from eventmanagement.database import queries
from reservation.models import Reservation
from reservation.serializers import AttendeeSerializer
from tests.admin import staff
from tests.conftest import LONG, SHORT
from tests.ledger import book, wait

COLUMNS = AttendeeSerializer.Meta.fields


def text(response):
    """Return the file. The test client closes the response after the last byte."""
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def lines(response):
    return list(csv.reader(StringIO(text(response), newline=""), strict=True))


@pytest.fixture
def download(as_user, alice, event):
    """Return a function that downloads the attendees of Alice's event."""
    return lambda: as_user(alice).get(LONG.attendees(event), {"format": "csv"})


@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
def test_lines_are_the_attendees_in_the_order_of_booking(as_user, alice, bob, carol, event, routes):
    book(event, carol, bob)
    client = as_user(alice)
    attendees = client.get(routes.attendees(event)).json()["results"]

    response = client.get(routes.attendees(event), {"format": "csv"})

    header, *rows = lines(response)
    assert header == COLUMNS
    shown = [dict(zip(header, row, strict=True)) for row in rows]
    assert [each["user"] for each in shown] == ["carol", "bob"]
    assert shown == [{name: as_text(value) for name, value in attendee.items()} for attendee in attendees]


def test_column_says_who_came_from_the_waiting_list(download, event, alice, bob, carol):
    Event.objects.filter(pk=event.pk).update(capacity=1)
    [seat] = book(event, alice)
    wait(event, bob, carol)
    seat.cancel()
    Event.objects.filter(pk=event.pk).update(capacity=3)
    book(event, alice)

    header, *rows = lines(download())

    shown = [dict(zip(header, row, strict=True)) for row in rows]
    assert [(each["user"], each["from_waitlist"]) for each in shown] == [
        ("bob", "true"),
        ("carol", "true"),
        ("alice", "false"),
    ]


def as_text(value):
    return "" if value is None else json.dumps(value).strip('"')


def test_headers(download, reservation):
    response = download()

    body = text(response)
    assert response["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert response["Content-Length"] == str(len(body.encode()))
    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"].startswith('attachment; filename="attendees of Concert.csv"')
    assert body.startswith(f"{','.join(COLUMNS)}\r\n{reservation.pk},bob,")
    assert body.endswith("\r\n")


def test_event_without_attendees_is_a_header(download):
    assert lines(download()) == [COLUMNS]


def test_head_has_the_headers_of_get(as_user, alice, event, reservation):
    path = f"{LONG.attendees(event)}?format=csv"

    got, asked = as_user(alice).get(path), as_user(alice).head(path)

    names = ["Content-Type", "Content-Length", "Content-Disposition", "Cache-Control"]
    assert [asked[name] for name in names] == [got[name] for name in names]
    assert text(got)
    assert text(asked) == ""


@pytest.mark.parametrize("value", ["", "CSV", "xml", "api", "csv,json", "%00", "%ff", "x" * 2000])
@pytest.mark.parametrize("routes", [LONG, SHORT], ids=["long", "short"])
def test_other_format_is_refused_on_its_field(as_user, alice, event, routes, value):
    response = as_user(alice).get(f"{routes.attendees(event)}?format={value}")

    assert response.status_code == 400
    assert response.json() == {"format": ["Choose csv or json."]}


def test_json_is_the_page(as_user, alice, event, reservation):
    client = as_user(alice)

    assert client.get(LONG.attendees(event), {"format": "json"}).json() == client.get(LONG.attendees(event)).json()


@pytest.mark.parametrize("accept", ["text/csv", "text/html", "*/*", "application/json"])
def test_accept_header_does_not_matter(as_user, alice, event, reservation, accept):
    response = as_user(alice).get(LONG.attendees(event), {"format": "csv"}, headers={"accept": accept})

    assert len(lines(response)) == 2


@pytest.mark.parametrize("value", ["csv", "nonsense"])
def test_only_the_organizer_gets_the_file(api, as_user, alice, bob, event, reservation, value):
    statuses = [
        client.get(LONG.attendees(wanted), {"format": value}).status_code
        for client, wanted in ((api, event), (as_user(bob), event), (as_user(alice), 99))
    ]

    assert statuses == [401, 403, 404]


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_formula_becomes_text(download, event, start):
    attendee = User.objects.create(username=f"{start}HYPERLINK(1)")
    book(event, attendee)

    _, [_, user, *_] = lines(download())

    assert user == f"'{attendee.username}"


@pytest.mark.parametrize(
    "username", ["comma, and more", 'quote"d', "two\r\nlines", "Jürgen 🎷", "a=b", "'apostrophe", " "]
)
def test_any_text_is_read_back(download, event, username):
    book(event, User.objects.create(username=username))

    _, [_, user, *_] = lines(download())

    assert user == username


@pytest.mark.parametrize(
    ("title", "plain", "full"),
    [
        ("Jazz", "Jazz", "Jazz"),
        ("Käse & Brot", "Kase & Brot", "Käse & Brot"),
        ("漢字", "event 7", "漢字"),
        ("🎷 at 8", "at 8", "🎷 at 8"),
        ('"; filename="evil.exe', "filename= evil.exe", "filename= evil.exe"),
        ("\uff02\uff1b\uff3c x", "x", "\uff02\uff1b\uff3c x"),
        ("a/../../etc/passwd", "a .. .. etc passwd", "a .. .. etc passwd"),
        ("..hidden.", "hidden", "hidden"),
        ("100%41", "100 41", "100 41"),
        ("line\r\nSet-Cookie: x", "line Set-Cookie x", "line Set-Cookie x"),
        ("exe\u202egpj", "exe gpj", "exe gpj"),
        ("...", "event 7", "event 7"),
        ("ü" * 200, "u" * 50, "ü" * 50),
    ],
)
def test_name_of_the_file(title, plain, full):
    header = content_disposition("attendees of {}.csv", title, "event 7")

    assert header.isascii()
    assert header.isprintable()
    kind, quoted, encoded = header.split("; ")
    assert kind == "attachment"
    assert quoted == f'filename="attendees of {plain}.csv"'
    assert encoded.startswith("filename*=UTF-8''")
    assert unquote(encoded.removeprefix("filename*=UTF-8''")) == f"attendees of {full}.csv"


@pytest.fixture
def files(monkeypatch):
    """The temporary files of the downloads."""
    made = []

    def make():
        made.append(temporary_file())
        return made[-1]

    temporary_file = csv_files.TemporaryFile
    monkeypatch.setattr(csv_files, "TemporaryFile", make)
    return made


def test_file_is_closed_with_the_response(download, reservation, files):
    response = download()
    [file] = files
    assert not file.closed

    text(response)

    assert file.closed


def test_file_is_closed_after_an_error(as_user, alice, event, reservation, files, monkeypatch):
    monkeypatch.setattr(csv_files, "iterate_snapshot", lambda rows: 1 / 0)
    client = as_user(alice)
    client.raise_request_exception = False

    response = client.get(LONG.attendees(event), {"format": "csv"})

    assert response.status_code == 500
    assert files[0].closed


def no_directory():
    raise FileNotFoundError(2, "No usable temporary directory found")


def full_disk():
    return open("/dev/full", "w+b")


@pytest.mark.parametrize("make", [no_directory, full_disk])
@pytest.mark.parametrize("attendees", [1, 300])
def test_file_that_cannot_be_written_is_503(as_user, alice, event, people, monkeypatch, make, attendees):
    Event.objects.update(capacity=attendees)
    book(event, *people(attendees))
    monkeypatch.setattr(csv_files, "TemporaryFile", make)

    response = as_user(alice).get(LONG.attendees(event), {"format": "csv"})

    assert response.status_code == 503
    assert response.json()["code"] == "unavailable"
    # The transaction of the cursor is over.
    Event.objects.update(capacity=attendees + 1)


def test_reading_that_takes_too_long_is_503(download, reservation, monkeypatch):
    monkeypatch.setattr(csv_files, "MAX_SECONDS", -1)

    response = download()

    assert response.status_code == 503


def test_queries_do_not_grow_with_the_rows(download, event, people, django_assert_max_num_queries):
    crowd = people(6)
    book(event, crowd[0])
    with django_assert_max_num_queries(20) as few:
        lines(download())
    book(event, *crowd[1:])

    with django_assert_max_num_queries(len(few)):
        assert len(lines(download())) == 7


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite reads all rows with one statement")
@pytest.mark.django_db(transaction=True)
class TestSnapshot:
    """Reading in several steps, while others book."""

    @pytest.fixture(autouse=True)
    def _three_rows(self, event, people, monkeypatch):
        book(event, *people(3))
        monkeypatch.setattr(queries, "FETCH_SIZE", 2)

    @pytest.mark.parametrize("is_pooled", [False, True])
    def test_all_rows_are_of_one_moment(self, download, event, bob, monkeypatch, is_pooled):
        """Bob books after the first rows were read. In pooled mode, Django's own iterator would use no cursor."""
        monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", is_pooled)
        represent = AttendeeSerializer().fields["user"].to_representation
        booked = threading.Event()

        def book_first(field, value):
            if not booked.is_set():
                booked.set()
                with ThreadPoolExecutor(1) as other:
                    other.submit(self.book, bob, event).result()
            return represent(value)

        monkeypatch.setattr("rest_framework.serializers.CharField.to_representation", book_first)

        response = download()

        assert len(lines(response)) == 4
        assert Reservation.objects.count() == 4

    @staticmethod
    def book(user, event):
        try:
            book(event, user)
        finally:
            connection.close()

    @pytest.mark.parametrize("is_pooled", [False, True])
    def test_rows_are_read_through_a_cursor(self, event, monkeypatch, is_pooled):
        monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", is_pooled)
        rows = queries.iterate_snapshot(Reservation.objects.filter(event=event).values_list("pk"))

        next(rows)

        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_cursors")
            assert cursor.fetchone() == (1,)
        assert len(list(rows)) == 2

    def test_no_connection_is_held_while_the_file_is_sent(self, download, event):
        response = download()

        assert connection.connection is None
        with psycopg.connect(**connections["default"].get_connection_params() | {"cursor_factory": None}) as session:
            others = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert session.execute(f"{others} AND state LIKE 'idle in transaction%'").fetchone() == (0,)
        assert len(lines(response)) == 4

    def test_event_of_the_admin_holds_no_connection(self, boss, event):
        response = boss.get(reverse("admin:event_event_attendees", args=[event.pk]))

        assert connection.connection is None
        assert len(lines(response)) == 4


def test_admin_downloads_the_same_file(boss, download, event, reservation):
    address = reverse("admin:event_event_attendees", args=[event.pk])

    page = boss.get(reverse("admin:event_event_change", args=[event.pk]))
    response = boss.get(address)
    expected = download()

    assert f'<a href="{address}">Download as CSV</a>' in page.text
    assert response["Content-Disposition"] == expected["Content-Disposition"]
    assert text(response) == text(expected)


@pytest.mark.parametrize(
    ("permissions", "status"),
    [(["view_event", "view_reservation"], 200), (["view_event"], 403), (["view_reservation"], 403)],
)
def test_admin_needs_both_view_permissions(event, reservation, permissions, status):
    viewer = staff("eve", *permissions)

    response = viewer.get(reverse("admin:event_event_attendees", args=[event.pk]))

    assert response.status_code == status
    b"".join(response)


def test_admin_sends_others_to_the_login(client, event):
    response = client.get(reverse("admin:event_event_attendees", args=[event.pk]))

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("event_id", [99, 2**63, 10**30])
def test_unknown_event_is_404_in_the_admin(boss, event_id):
    assert boss.get(reverse("admin:event_event_attendees", args=[event_id])).status_code == 404


@pytest.mark.parametrize("method", ["post", "delete", "put"])
def test_admin_allows_reading_only(boss, event, method):
    response = getattr(boss, method)(reverse("admin:event_event_attendees", args=[event.pk]))

    assert response.status_code == 405
