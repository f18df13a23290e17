"""Which characters can be seen, and which are control characters."""

import unicodedata

import pytest

from eventmanagement.api.text import BLANK, VISIBLE_CATEGORIES, has_control, has_visible


@pytest.mark.parametrize(
    "text",
    ["a", "7", "!", "+", "日", "ก", "é", "e\u0301", "😀", "\u200ba", " a ", "\u05d0"],
)
def test_visible(text):
    assert has_visible(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\t\n",
        "\x00",
        "\u00a0",  # no-break space
        "\u00ad",  # soft hyphen
        "\u034f",  # combining grapheme joiner
        "\u0301",  # combining acute accent, without a letter
        "\u115f",  # Hangul choseong filler
        "\u1160",  # Hangul jungseong filler
        "\u180e",  # Mongolian vowel separator
        "\u200b",  # zero width space
        "\u200d",  # zero width joiner
        "\u202e",  # right-to-left override
        "\u2028",  # line separator
        "\u2060",  # word joiner
        "\u2800",  # Braille pattern blank
        "\u3000",  # ideographic space
        "\u3164",  # Hangul filler
        "\ufe0f",  # variation selector
        "\ufeff",  # byte order mark
        "\uffa0",  # halfwidth Hangul filler
        "\ue000",  # private use
        "\U00013441",  # Egyptian hieroglyph full blank
        "\U0001d159",  # musical symbol null notehead
        "\U000e0001",  # language tag
        "\u200b \u3164\u2800",
    ],
)
def test_invisible(text):
    assert not has_visible(text)


def test_blank_characters_are_of_visible_categories():
    """Otherwise they would not have to be listed. Python 3.11 does not know the two hieroglyphs yet."""
    categories = {unicodedata.category(character) for character in BLANK}

    assert {category[0] for category in categories - {"Cn"}} <= VISIBLE_CATEGORIES


@pytest.mark.parametrize("character", ["\x00", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9f", "\u2028", "\u2029"])
def test_control(character):
    assert has_control(f"a{character}b")


@pytest.mark.parametrize("text", ["", "a b", "é", "日本", "\u00a0", "\u200b", "👩\u200d🔬", "\u200eabc"])
def test_no_control(text):
    assert not has_control(text)
