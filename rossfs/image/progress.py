"""What an import or export tells while it works."""

from __future__ import annotations


class Progress:
    """Ignores everything; a command that shows progress overrides what it needs.

    The methods may be called by several threads at once, and must be quick.
    """

    def begin(self, name: str, size: int | None) -> None:
        """The content *name* is being copied; *size* in bytes if it is known."""

    def advance(self, name: str, count: int) -> None:
        """*count* more bytes of it have been copied."""

    def end(self, name: str) -> None:
        """It is complete."""


SILENT = Progress()
