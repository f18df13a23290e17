"""Checks for visible characters and for control characters, in names and texts.

Both functions read the whole text, so check its length first.
"""

from unicodedata import category

# The major categories of Unicode whose characters show something: letters, numbers, punctuation and symbols. A
# combining mark (M) only changes the letter before it.
VISIBLE_CATEGORIES = frozenset("LNPS")
# Blank characters of these categories. Unicode calls most of them fillers.
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\U00013441\U00013442\U0001d159")
# Control characters, and the separators of lines and paragraphs.
CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})


def has_visible(text: str) -> bool:
    """Return whether the text has a letter, number, punctuation mark or symbol that is not blank.

    A character that is newer than the Unicode version of this Python does not count.
    """
    return any(category(character)[0] in VISIBLE_CATEGORIES and character not in BLANK for character in text)


def has_control(text: str) -> bool:
    """Return whether the text has a control character, such as NUL, a tab or a line break."""
    return any(category(character) in CONTROL_CATEGORIES for character in text)
