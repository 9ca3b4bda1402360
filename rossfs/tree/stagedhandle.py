"""An open staged file."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from rossfs.tree.handle import Handle
from rossfs.tree.node import is_writing

if TYPE_CHECKING:
    from rossfs.store.ingest import Ingest
    from rossfs.tree.staged import Staged

_INLINE = 128 << 10


class StagedHandle(Handle):
    """One opening of *staged* with *flags*; *descriptor* is its own for reading, -1 if it does not
    read."""

    __slots__ = (
        "_descriptor",
        "_staged",
        "appending",
        "direct_io",
        "flushed",
        "pristine",
        "writing",
    )

    def __init__(self, staged: Staged, descriptor: int, flags: int) -> None:
        self._staged = staged
        self._descriptor = descriptor
        self.writing = is_writing(flags)
        # Without the page cache each write(2) is one request; with it it is three, one for
        # security.capability and two for what begins within a page.  But a mapping needs pages
        # (mmap(2) with MAP_SHARED is for files open for both).
        self.direct_io = self.writing and (descriptor < 0 or not staged.place.mapped)
        self.appending = self.direct_io and bool(flags & os.O_APPEND)
        """The end is where we have it: the kernel may know the size of another moment.  (What it
        writes from its pages has its place already.)"""
        self.flushed = False
        """A descriptor was closed, and nothing was written since."""
        self.pristine = not flags & os.O_TRUNC
        """Nothing was changed since it was opened."""

    async def read(self, offset: int, size: int) -> bytes:
        if self._descriptor < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self.pristine and self.writing:
            self._staged.place.was_read()
        if size <= _INLINE:
            return os.pread(self._descriptor, size, offset)
        return await self._staged.uploads.work(os.pread, self._descriptor, size, offset)

    async def write(self, offset: int, data: bytes) -> int:
        """StoreFull: nothing was written, and what was before is still there."""
        if not self.writing:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return await self._staged.write(self, offset, data)

    def write_ready(self, offset: int, data: memoryview) -> bool:
        """As `write`: False if a worker thread has to do it."""
        return self.writing and self._staged.write_ready(self, offset, data)

    async def flush(self) -> None:
        """DigestMismatch, MissingContent, StoreFull: what refuses the content as it is now."""
        await self._staged.flush(self)

    async def fsync(self, data_only: bool) -> None:
        """DigestMismatch if its name is the digest of other bytes; StoreFull."""
        await self._staged.fsync()

    def changed(self) -> None:
        """Something was written."""
        self.flushed = self.pristine = False

    def follow(self, ingest: Ingest) -> None:
        """Read from *ingest* from now on."""
        if self._descriptor >= 0:
            descriptor = os.open(f"/proc/self/fd/{ingest.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                # The same number: a thread may be about to read.
                os.dup2(descriptor, self._descriptor, inheritable=False)
            finally:
                os.close(descriptor)

    async def release(self) -> None:
        """If this was the last writer, what was accepted is carried out."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        await self._staged.release(self)
