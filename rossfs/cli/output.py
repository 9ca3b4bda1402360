"""What commands print: JSON for programs; sizes, names and tables for people.

What is shown of an image's inside was written by strangers: a file name or a build step that could
move the cursor of a terminal is printed with escapes, in JSON too.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence

import click

from rossfs.oci.quotation import quote

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def print_json(value: object) -> None:
    """Print *value* as indented JSON, in ASCII."""
    click.echo(json.dumps(value, indent=2))


def print_json_array(values: Iterable[object]) -> None:
    """Print *values* as a JSON array, one a line, each as soon as it is there; in ASCII."""
    before = "["
    for value in values:
        click.echo(f"{before}\n  {json.dumps(value)}", nl=False)
        before = ","
    click.echo("[]" if before == "[" else "\n]")


def name_text(name: bytes | str) -> str:
    """A file name, path or other text of one line as it is, or in double quotes with escapes if it
    holds what a terminal might act on."""
    text = os.fsdecode(name)
    return text if text.isprintable() and not text.startswith('"') else quote(text, len(text))


def size_text(size: int, *, exact: bool = False) -> str:
    """*size* bytes for people, in powers of 1000, as `86.1 MB`; *exact*: just the number."""
    if exact:
        return str(size)
    number, unit = float(size), 0
    # 999.95 would be shown as 1000.0.
    while number >= 999.95 and unit < len(_UNITS) - 1:
        number /= 1000
        unit += 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{size} B"


def time_text(seconds: int) -> str:
    """A time in Unix seconds for people, as RFC 3339 has it, in UTC."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def count_text(number: int, noun: str) -> str:
    """`1 blob`, `2 blobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns, left-aligned, as wide as they need to be."""
    rows = [head, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one a line."""
    rows = list(fields)
    width = max((len(name) for name, _ in rows), default=0) + 2
    for name, value in rows:
        click.echo(f"{name + ':':{width}}{value}".rstrip())
