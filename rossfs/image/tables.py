"""The derived tables of one layer: from the cache, or just made.

A table that is mapped is a private copy, in memory or where it is large in an unnamed file beside
the cache's own: what somebody does to the file in the cache cannot reach into the map (cutting a
mapped file ends its reader with SIGBUS), and what was checked when it was opened stays as it was.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Mapping

from rossfs.errors import CacheFull
from rossfs.image.cache import Cache
from rossfs.oci.digest import Digest

TOC = "toc"
POINTS = "points"
FRAMES = "frames"
"""Kinds of tables: contents, seek points of gzip, frames of zstd."""

KINDS = (TOC, POINTS, FRAMES)

IN_MEMORY = 16 << 20
"""Bytes of the largest table that is copied into memory; that of a layer of 150,000 entries."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_CHUNK = 1 << 30


def table_name(digest: Digest, kind: str) -> str:
    """The name in the cache of a table of the layer *digest*."""
    return f"{digest.hex}.{kind}"


def forget_tables(cache: Cache, digests: Iterable[Digest]) -> None:
    """Remove the tables of layers that are no longer stored."""
    for digest in digests:
        for kind in KINDS:
            cache.discard(table_name(digest, kind))


class Tables:
    """Where the tables of one layer are found.  Thread safe; closed when nobody refers to it."""

    __slots__ = ("_cache", "_fresh", "_lock", "digest")

    def __init__(self, cache: Cache, digest: Digest) -> None:
        self.digest = digest
        self._cache = cache
        self._fresh: dict[str, int] = {}
        self._lock = threading.Lock()

    def __del__(self) -> None:
        for fd in self._fresh.values():
            os.close(fd)

    def put(self, made: Mapping[str, int]) -> None:
        """Take over the descriptors of tables that were just made, which may have no name."""
        with self._lock:
            for kind, fd in made.items():
                old = self._fresh.pop(kind, None)
                if old is not None:
                    os.close(old)
                self._fresh[kind] = fd

    def open(self, kind: str) -> int | None:
        """Return a descriptor of a table, the caller's to close; None if it must be made."""
        fd = self.fresh(kind)
        return self._cache.open(table_name(self.digest, kind)) if fd is None else fd

    def open_mapped(self, kind: str) -> int | None:
        """As `open`, for a table that is going to be mapped."""
        fd = self.open(kind)
        return None if fd is None else self._private(fd)

    def fresh(self, kind: str) -> int | None:
        """As `open`, if the table was just made; once."""
        with self._lock:
            return self._fresh.pop(kind, None)

    @property
    def pending(self) -> bool:
        """Whether tables that were just made are open here."""
        return bool(self._fresh)

    def drop(self, *kinds: str) -> None:
        """Let go of tables that were just made and are not needed."""
        for kind in kinds:
            fd = self.fresh(kind)
            if fd is not None:
                os.close(fd)

    def discard(self, kind: str) -> None:
        """Remove a table that was found to be wrong."""
        self._cache.discard(table_name(self.digest, kind))

    def _private(self, fd: int) -> int:
        """A copy of the file *fd*, which is closed, that nobody else can reach."""
        try:
            if os.fstat(fd).st_size <= IN_MEMORY:
                copy = os.memfd_create("rossfs-table", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                return _copied(fd, copy, _SEALS)
            try:
                with self._cache.create(spill=False) as file:
                    return _copied(fd, os.dup(file.fileno()), 0)
            except CacheFull:
                # Its map is only as safe as the file is.
                return os.dup(fd)
        finally:
            os.close(fd)


def _copied(fd: int, copy: int, seals: int) -> int:
    """*copy*, with the content of *fd*; closed where that fails."""
    try:
        offset = 0
        while count := os.sendfile(copy, fd, offset, _CHUNK):
            offset += count
        if seals:
            fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    except OSError as error:
        os.close(copy)
        raise CacheFull(f"no room to copy a table: {error.strerror}") from error
    return copy
