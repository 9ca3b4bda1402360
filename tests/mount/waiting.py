"""Waiting for what a mount is about to show, with a deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from rossfs.oci.digest import Digest

SHOWN = 20.0
"""Seconds for a change to be shown.  A second is the promise; the machine may have other things to
do."""


def eventually(question: Callable[..., object], *arguments: object) -> None:
    """Return when `question(*arguments)` is true; AssertionError after `SHOWN` seconds."""
    end = time.monotonic() + SHOWN
    while not question(*arguments):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def text_of(link: Path) -> str:
    """What a link says; "" if there is none."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def leads_to(link: Path, digest: Digest) -> bool:
    """Whether *link* is a link to *digest*."""
    return text_of(link).endswith(f"/{digest.hex}")


def is_gone(path: Path) -> bool:
    """Whether there is nothing of that name, not even a link to nothing."""
    return not os.path.lexists(path)


def names_in(directory: Path) -> list[str]:
    """The names in a directory, sorted; none if it does not exist."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
