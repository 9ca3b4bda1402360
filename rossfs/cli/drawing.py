"""Elements of SVG 1.1, as text: whatever they are given, what comes out is well-formed.

Only plain shapes, text and titles (what a browser shows when the pointer rests on a thing) are
made; nothing refers to anything outside the document.
"""

from __future__ import annotations

import unicodedata
from xml.sax.saxutils import escape, quoteattr

from rossfs.oci.quotation import quote

_LETTER = 0.56
"""The width of a letter of the fonts that are asked for, in parts of their size; on average, so
that texts are cut rather early than late."""


def text_of(value: str) -> str:
    """*value* as the content of an element: markup and what XML cannot hold are escaped."""
    lines = (line if line.isprintable() else quote(line, len(line))[1:-1] for line in _lines(value))
    return escape("\n".join(lines))


def _lines(value: str) -> list[str]:
    # Not splitlines(): that splits at control characters too.
    return value.split("\n")


def fitted(value: str, size: float, room: float) -> str:
    """As much of *value* as fits into *room* pixels at a font size of *size*; perhaps nothing."""
    used = 0.0
    for position, letter in enumerate(value):
        wide = unicodedata.east_asian_width(letter) in "WF"
        used += size * (1.0 if wide else _LETTER)
        if used > room:
            # Room for the dots.
            keep = max(0, position - 2)
            return value[:keep].rstrip() + "…" if keep > 2 else ""
    return value


def width_of(value: str, size: float) -> float:
    """About how many pixels *value* takes at a font size of *size*."""
    return len(value) * size * _LETTER


def number(value: float) -> str:
    """A coordinate: two decimals are more than a screen can show."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def text(
    x: float, y: float, value: str, names: str = "", *, anchor: str = "", title: str = ""
) -> str:
    """A line of text on the baseline *y*; *names* are its classes."""
    attributes = _classes(names) + (f' text-anchor="{anchor}"' if anchor else "")
    return (
        f'<text x="{number(x)}" y="{number(y)}"{attributes}>{_title(title)}{text_of(value)}</text>'
    )


def rectangle(
    x: float,
    y: float,
    width: float,
    height: float,
    names: str = "",
    *,
    title: str = "",
    round_: float = 0,
) -> str:
    """A rectangle; *round_* is the radius of its corners."""
    corners = f' rx="{number(round_)}"' if round_ else ""
    shape = (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(max(0.0, width))}" '
        f'height="{number(max(0.0, height))}"{corners}{_classes(names)}'
    )
    return f"{shape}>{_title(title)}</rect>" if title else f"{shape}/>"


def line(x1: float, y1: float, x2: float, y2: float, names: str = "") -> str:
    """A straight line."""
    return (
        f'<line x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
        f"{_classes(names)}/>"
    )


def _classes(names: str) -> str:
    return f" class={quoteattr(names)}" if names else ""


def _title(value: str) -> str:
    return f"<title>{text_of(value)}</title>" if value else ""
