"""The names of downloaded files."""

import re
from unicodedata import normalize
from urllib.parse import quote

# In characters. File systems allow 255 bytes, and a character of UTF-8 takes up to four.
MAX_TITLE_LENGTH = 50
# Characters that file systems or shells treat specially. Browsers may decode "%" in a file name.
UNSAFE_IN_NAMES = re.compile(r'[<>:"/\\|?*%;]')
# Windows drops these characters at the end of a name, and Unix hides a file whose name begins with a dot.
EDGES = ". "


def content_disposition(pattern: str, title: str, fallback: str) -> str:
    """Return the header for a download whose file name is ``pattern`` with ``title`` for its braces (RFC 6266).

    It has a name in ASCII, and one in Unicode for clients that support it. Characters that are unsafe in file names
    are replaced by spaces, and a long title is shortened. If nothing remains, ``fallback`` replaces the title.
    """
    printable = "".join(character if character.isprintable() else " " for character in title)
    shortened = _safe(printable)[:MAX_TITLE_LENGTH].strip(EDGES)
    in_ascii = _safe(normalize("NFKD", shortened).encode("ascii", "ignore").decode())
    plain, full = (pattern.format(each or fallback) for each in (in_ascii, shortened))
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(full, safe='')}"


def _safe(title: str) -> str:
    return " ".join(UNSAFE_IN_NAMES.sub(" ", title).split()).strip(EDGES)
