"""Text that somebody else chose, made fit to stand in a message.

A tag, a file name or a JSON key may hold terminal escapes, newlines, bidirectional overrides or
megabytes.  What `quote` returns is always one line, printable, in double quotes and of bounded
length, whatever it was given.  `first_of` keeps a list of such texts short.
"""

from __future__ import annotations

from collections.abc import Sequence

CUT = "..."  # stands inside the quotes, in place of what was cut off

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def quote(text: str | bytes, limit: int = 100) -> str:
    """Return *text* in double quotes, unprintable characters escaped, cut after *limit* characters.

    Bytes that are not UTF-8 appear as `\\xNN`, as do the surrogates that stand for such bytes in
    file names (PEP 383).  The limit counts characters of *text*, not of the answer.
    """
    # One character of UTF-8 has at most 4 bytes: a long value is not decoded only to be cut.
    if isinstance(text, bytes):
        text = text[: 4 * limit + 4].decode("utf-8", "surrogateescape")
    cut = len(text) > limit
    body = "".join(map(_escaped, text[:limit]))
    return f'"{body}{CUT if cut else ""}"'


def first_of(texts: Sequence[str], limit: int = 5) -> str:
    """Return *texts* with commas between, and how many more there are after the first *limit*."""
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def _escaped(character: str) -> str:
    known = _ESCAPES.get(character)
    if known is not None:
        return known
    if character.isprintable():
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        number -= 0xDC00
    if number <= 0xFF:
        return f"\\x{number:02x}"
    if number <= 0xFFFF:
        return f"\\u{number:04x}"
    return f"\\U{number:08x}"
