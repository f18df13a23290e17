"""On PostgreSQL, a search for two characters uses an index and finds the same events as without it."""

import pytest
from django.db import connection
from django.db.models import Q

from event.models import MAX_DESCRIPTION_LENGTH, Event
from reservation.models import Reservation

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="the index only exists on PostgreSQL")

TEXTS = [
    ("Jazz at the harbour", "Two sets by the water."),
    ("AN evening", "An encore, and another"),
    ("東京音楽会", "大阪から東京へ。 東 京"),
    ("Straße STRASSE", "ß ẞ ss ŉ ﬁ \u0130i I\u0131 ΣσΑ"),
    ("100% _quoted_ 'a' \"b\" \\n", "c:\\d\te\nf"),
    ("🎷🎺 and é (e\u0301)", "a\u00a0b \U00100000\U0010ffff"),
    # The last character of the title and the first of the description must not match as a word.
    ("ends with q", "z begins"),
    ("x", ""),
]


@pytest.fixture
def events(alice, event_of):
    return [event_of(alice, title=title, description=description) for title, description in TEXTS]


def test_words_of_a_few_characters_find_what_contains_them(events):
    texts = [text for texts in TEXTS for text in texts]
    cut = {text[start : start + length] for text in texts for length in (1, 2, 3) for start in range(len(text))}
    words = sorted({change(word) for word in cut for change in (str, str.lower, str.upper, str.title)} | {"qz", "zq"})

    differing = [
        word
        for word in words
        if set(Event.objects.with_words([word]))
        != set(Event.objects.filter(Q(title__icontains=word) | Q(description__icontains=word)))
    ]

    assert len(words) > 500
    assert differing == []


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("東京", [2]),
        ("jA", [0]),
        ("AN an", [1, 5]),
        ("qz", []),
        ("zq", []),
        ("q z", [6]),
        ("🎷🎺", [5]),
        ("e\u0301)", [5]),
    ],
)
def test_short_words_are_found(api, routes, events, search, found):
    results = api.get(routes.events, {"search": search}).json()["results"]

    assert [result["id"] for result in results] == [events[number].pk for number in found]


@on_postgresql
@pytest.mark.parametrize("words", [["zq"], ["東京"], ["zq", "the"], ["a", "zq"]])
def test_two_character_word_uses_index(events, words):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = Event.objects.with_words(words).order_by().explain()

    assert "event_by_pairs" in plan


@on_postgresql
def test_longest_description_can_be_indexed(alice, event_of):
    text = "".join(chr(0x4E00 + number) for number in range(MAX_DESCRIPTION_LENGTH))

    event = event_of(alice, description=text)

    assert Event.objects.with_words([text[-2:]]).get() == event


@on_postgresql
def test_booking_does_not_update_search_indexes(bob, event):
    def updates():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = %s",
                [Event._meta.db_table],
            )
            return cursor.fetchone()

    before = updates()
    Reservation.objects.book(user=bob, event_id=event.pk)

    assert [now - then for now, then in zip(updates(), before, strict=True)] == [1, 1]
