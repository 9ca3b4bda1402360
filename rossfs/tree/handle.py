"""An open file, as the kernel's side uses it."""

from __future__ import annotations

import errno
import os
from typing import ClassVar


class Handle:
    """An open file.  Any method may be called again after an error; `release` comes exactly once,
    last."""

    __slots__ = ()

    keep_cache: ClassVar[bool] = False
    """The kernel may keep the pages that it has of the inode: its content cannot change."""

    passive: ClassVar[bool] = False
    """flush and release have nothing to do: the kernel's side does not call them."""

    direct_io: bool = False
    """The kernel shall keep no pages: each read(2) and write(2) is one request."""

    async def read(self, offset: int, size: int) -> bytes | bytearray | memoryview:
        """Up to *size* bytes at *offset*; fewer only at the end.  A view is used before the next
        read."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def read_ready(self, offset: int, size: int) -> bytes | bytearray | memoryview | None:
        """As `read`, if that would not wait; None: it may."""
        return None

    async def write(self, offset: int, data: bytes) -> int:
        """Write all of *data* at *offset*; return its length."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def write_ready(self, offset: int, data: memoryview) -> bool:
        """As `write`, if that would not wait; False: it may, and nothing was written.  *data* is
        not used afterwards."""
        return False

    async def flush(self) -> None:
        """A descriptor was closed (close(2) gets this one's errors); comes several times (dup,
        fork)."""

    async def fsync(self, data_only: bool) -> None:
        """fsync(2) or fdatasync(2)."""

    async def release(self) -> None:
        """The last descriptor is gone.  Nobody sees this one's errors."""
