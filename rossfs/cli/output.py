"""What commands print: JSON for programs, sizes and tables for people."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence

import click

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def print_json(value: object) -> None:
    """Print *value* as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


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
