"""A file that a program has put aside, to be renamed: neither content nor a tag comes of it as it
is.

Its bytes lie among the temporary files of the store and stay locked while it is there, so that no
collection takes them before they are renamed.  After a crash nobody holds the lock: fsck reports
the file, and a collection removes it.
"""

from __future__ import annotations

from rossfs.store import durable
from rossfs.store.contents import Contents
from rossfs.store.ingest import Ingest
from rossfs.tree.place import Place


class Aside(Place):
    """The place of such a file; *algorithm* hashes it as it arrives."""

    __slots__ = ("_algorithm", "_kept", "_path", "refusal")

    def __init__(self, algorithm: str = "sha256") -> None:
        self._algorithm = algorithm
        self._kept: Ingest | None = None
        self._path = ""
        self.refusal: str | None = None
        """Why it could not be renamed to what it was to be."""

    @property
    def algorithm(self) -> str:
        return self._algorithm

    @property
    def path(self) -> str:
        return self._path

    @property
    def mapped(self) -> bool:
        """Tools for layouts are written in Go, whose os.CreateTemp opens for reading, too, what is
        only written."""
        return False

    @property
    def reason(self) -> bytes | None:
        if self.refusal is None:
            return None
        return self.refusal.encode("utf-8", "surrogateescape")

    def adopt(self, contents: Contents) -> Ingest:
        kept, self._kept = self._kept, None
        return super().adopt(contents) if kept is None else kept

    def judge(self, ingest: Ingest) -> bool:
        """It waits to be renamed."""
        ingest.rest()
        return False

    def carry_out(self, ingest: Ingest) -> None:
        ingest.abort()

    def leave(self, ingest: Ingest, reason: str | None) -> bool:
        self._path = ingest.path
        self._kept = ingest
        return True

    def discard(self) -> None:
        """Remove the bytes that wait here.  Nobody opens it any more."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.abort()
        elif self._path:
            durable.discard(self._path)
