"""Waiting for what a mount is about to show, with a deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

SHOWN = 20.0
"""Seconds for a change to be shown.  A second is the promise; the machine may have other things to
do."""


def eventually(question: Callable[[], object], deadline: float = SHOWN) -> None:
    """Return when *question* answers something true; AssertionError after *deadline* seconds."""
    end = time.monotonic() + deadline
    while not question():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def text_of(link: Path) -> str:
    """What a link says; "" if there is none."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""
