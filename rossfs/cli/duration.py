"""Durations on the command line: 90, 90s, 15m, 1h, 2d."""

from __future__ import annotations

import re

import click

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhdw]?)")


def duration(text: str) -> float:
    """The seconds that *text* means; BadParameter.  To be the type of an option."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no duration: write 90s, 15m, 1h or 2d")
    number, unit = match.groups()
    return float(number) * _UNITS[unit]
