"""A file of the cache while it is being written.

It lies in the cache directory under a temporary name, locked (flock) as long as its process lives,
and is gone when it is closed unless it was published.  Where the disk has no room, or nothing can
be written, it lies in memory instead, with no name: what needs it goes on, within a limit.
"""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING

from rossfs.errors import CacheFull

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MEMORY_LIMIT = 64 << 20
"""Bytes of one file in memory."""

_CHUNK = 1 << 20


class Temporary(io.FileIO):
    """A binary file for writing and reading, at first empty.

    `write` writes all that it is given, in one system call where it can: write large pieces.
    CacheFull once the file would have more than *limit* bytes, or there is no room for it on the
    disk and, with *spill*, none in memory.  The descriptor is the same after a move to memory.
    """

    def __init__(self, fd: int, path: str | None, limit: int | None, spill: bool) -> None:
        super().__init__(fd, "r+b")
        self.path = path
        """Its temporary name; None in memory."""
        self._limit = limit
        self._spill = spill

    @classmethod
    def in_memory(cls, limit: int | None = None) -> Temporary:
        """A file that never had a name."""
        fd = os.memfd_create("rossfs", os.MFD_CLOEXEC)
        limit = MEMORY_LIMIT if limit is None else min(limit, MEMORY_LIMIT)
        return cls(fd, None, limit, False)

    def write(self, data: ReadableBuffer, /) -> int:
        """Write the whole of *data* at the file's position; return its length."""
        left = memoryview(data).cast("B")
        length = len(left)
        if self._limit is not None and self.tell() + length > self._limit:
            raise CacheFull(f"more than the {self._limit} bytes that a file in the cache may have")
        while left:
            try:
                written = super().write(left)
            except OSError as error:
                # No room, or a disk that fails: what is derived is not worth more than a try.
                self._move_to_memory(self.tell() + len(left), error)
                continue
            left = left[written:]
        return length

    def _move_to_memory(self, needed: int, reason: OSError) -> None:
        """Go on in memory, where at least *needed* bytes must fit."""
        size = os.fstat(self.fileno()).st_size
        if not self._spill or max(size, needed) > MEMORY_LIMIT:
            raise CacheFull(f"no room in the cache: {reason.strerror}") from reason
        memory = os.memfd_create("rossfs", os.MFD_CLOEXEC)
        try:
            for offset in range(0, size, _CHUNK):
                os.pwrite(memory, os.pread(self.fileno(), _CHUNK, offset), offset)
            os.lseek(memory, self.tell(), os.SEEK_SET)
            os.dup2(memory, self.fileno(), inheritable=False)
        except OSError as error:
            raise CacheFull(f"no room in the cache or in memory: {error.strerror}") from error
        finally:
            os.close(memory)
        self._unlink()
        self._spill, self._limit = False, MEMORY_LIMIT

    def renamed(self) -> None:
        """It has a name of its own now, which `close` leaves alone."""
        self.path = None

    def _unlink(self) -> None:
        if self.path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            self.path = None

    def close(self) -> None:
        """Close, and remove the file if it still has its temporary name."""
        if not self.closed:
            self._unlink()
        super().close()
