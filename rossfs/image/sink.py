"""Where an export goes: files by path, in a directory or in a tar archive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Sink(Protocol):
    """Takes files.  Nothing is final before the export is complete."""

    def has(self, path: str, size: int) -> bool:
        """Whether the blob at *path* is there already; then it need not be added."""

    def add(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """Write a file of *size* bytes."""
