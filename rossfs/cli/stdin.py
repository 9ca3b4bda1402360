"""Standard input, for the commands that read it."""

from __future__ import annotations

import sys
from typing import TextIO

from rossfs.errors import UsageError


def standard_input() -> TextIO:
    """Standard input; UsageError if the caller has closed it."""
    # Its descriptor, 0, is then that of the next file that is opened.
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    return sys.stdin
