"""What libfuse and fusermount3 say when a mount fails.

They write the reason to descriptor 2 and return an error without one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

_LIMIT = 65536


class Captured:
    """What was written to descriptor 2 while it was captured."""

    def __init__(self) -> None:
        self._file = os.memfd_create("stderr")

    def fileno(self) -> int:
        """The descriptor that is written to."""
        return self._file

    def lines(self) -> list[str]:
        """The lines so far, without empty ones."""
        text = os.pread(self._file, _LIMIT, 0).decode("utf-8", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def close(self) -> None:
        """Forget it."""
        os.close(self._file)


@contextlib.contextmanager
def standard_error() -> Iterator[Captured]:
    """Send descriptor 2 of the process, and of those it starts, to the value of this block."""
    sys.stderr.flush()
    captured = Captured()
    before = os.dup(2)
    try:
        os.dup2(captured.fileno(), 2)
        try:
            yield captured
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
    finally:
        os.close(before)
        captured.close()
