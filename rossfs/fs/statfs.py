"""Room on the filesystem that holds the store, for df(1)."""

from __future__ import annotations

import errno
import os

import trio
from pyfuse3 import StatvfsData

NAME_MAX = 255
"""Longest name in bytes, as in most filesystems of Linux; FUSE would send up to 1,024."""

PATIENCE = 5.0
"""Seconds until the last answer is given again: the store may lie on a network filesystem that
hangs, and df must not hang with it."""

_FIELDS = (
    "f_bsize",
    "f_frsize",
    "f_blocks",
    "f_bfree",
    "f_bavail",
    "f_files",
    "f_ffree",
    "f_favail",
)


class Statfs:
    """statvfs(3) of *path*, asked in a worker thread, at most one at a time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._limiter = trio.CapacityLimiter(1)
        self._last: os.statvfs_result | None = None

    async def ask(self) -> StatvfsData:
        """The present figures, or the last ones if the filesystem does not answer; EIO if there
        are none."""
        with trio.move_on_after(PATIENCE):
            self._last = await trio.to_thread.run_sync(
                os.statvfs, self._path, abandon_on_cancel=True, limiter=self._limiter
            )
        if self._last is None:
            raise OSError(errno.EIO, "the store's filesystem does not answer", self._path)
        data = StatvfsData()
        for field in _FIELDS:
            setattr(data, field, getattr(self._last, field))
        data.f_namemax = NAME_MAX
        return data
