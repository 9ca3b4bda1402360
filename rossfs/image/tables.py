"""The derived tables of one layer: from the cache, or just made.

A table that is mapped is a private copy in memory without a name, unless it is larger than 64 MiB:
what somebody does to the file in the cache cannot reach into the map (cutting a mapped file ends
its reader with SIGBUS), and what was checked when it was opened stays as it was.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Mapping

from rossfs.image.cache import Cache
from rossfs.oci.digest import Digest

TOC = "toc"
POINTS = "points"
FRAMES = "frames"
"""Kinds of tables: contents, seek points of gzip, frames of zstd."""

PRIVATE = 64 << 20
"""Bytes of the largest table that is copied."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_CHUNK = 1 << 30


def table_name(digest: Digest, kind: str) -> str:
    """The name in the cache of a table of the layer *digest*."""
    return f"{digest.hex}.{kind}"


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
        return None if fd is None else _private(fd)

    def fresh(self, kind: str) -> int | None:
        """As `open`, if the table was just made; once."""
        with self._lock:
            return self._fresh.pop(kind, None)

    def drop(self, kind: str) -> None:
        """Let go of a table that was just made and is not needed."""
        fd = self.fresh(kind)
        if fd is not None:
            os.close(fd)

    def discard(self, kind: str) -> None:
        """Remove a table that was found to be wrong."""
        self._cache.discard(table_name(self.digest, kind))


def _private(fd: int) -> int:
    """A copy of the file *fd*, which is closed, that nobody else can reach; or *fd* itself."""
    size = os.fstat(fd).st_size
    if size > PRIVATE:
        return fd
    try:
        copy = os.memfd_create("rossfs-table", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            while os.sendfile(copy, fd, os.lseek(copy, 0, os.SEEK_CUR), _CHUNK):
                pass
            fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(copy)
            raise
    finally:
        os.close(fd)
    return copy
