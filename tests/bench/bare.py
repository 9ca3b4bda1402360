"""The bare program to compare with: a filesystem that does nothing but pread one file.

    python -m tests.bench.bare FILE MOUNTPOINT [READ_AHEAD_KB]

It stays in the foreground and ends when it is unmounted.  The first opendir(3) of its root sets the
read-ahead to what rossfs sets (1,024 KiB).
"""

from __future__ import annotations

import errno
import os
import stat
import sys

import pyfuse3
import trio
from pyfuse3 import (
    EntryAttributes,
    FileInfo,
    FUSEError,
    ReaddirToken,
    RequestContext,
    StatvfsData,
    readdir_reply,
)

NAME = b"file"
INO = 2
FOREVER = 365 * 86400.0


class Bare(pyfuse3.Operations):
    """A root directory with one file in it, which is an open descriptor."""

    supports_dot_lookup = False

    def __init__(self, fd: int, mountpoint: str, kilobytes: int) -> None:
        super().__init__()
        self._read_ahead = [(mountpoint, kilobytes)]
        self._fd = fd
        self._root = self._entry(pyfuse3.ROOT_INODE, stat.S_IFDIR | 0o555, 0)
        self._file = self._entry(INO, stat.S_IFREG | 0o444, os.fstat(fd).st_size)

    @staticmethod
    def _entry(ino: int, mode: int, size: int) -> EntryAttributes:
        entry = EntryAttributes()
        entry.st_ino = ino
        entry.st_mode = mode
        entry.st_size = size
        entry.entry_timeout = entry.attr_timeout = FOREVER
        return entry

    async def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        if name != NAME:
            raise FUSEError(errno.ENOENT)
        return self._file

    async def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        return self._root if inode == pyfuse3.ROOT_INODE else self._file

    async def opendir(self, inode: int, ctx: RequestContext) -> int:
        while self._read_ahead:  # not earlier: FUSE_INIT sets it to 128 KiB
            read_ahead(*self._read_ahead.pop())
        return 1

    async def readdir(self, fh: int, start_id: int, token: ReaddirToken) -> None:
        if start_id == 0:
            readdir_reply(token, NAME, self._file, 1)

    async def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        return FileInfo(fh=1, keep_cache=True)

    async def read(self, fh: int, off: int, size: int) -> bytes:
        return os.pread(self._fd, size, off)

    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        return StatvfsData()


def read_ahead(mountpoint: str, kilobytes: int) -> None:
    """Set how far the kernel reads ahead, without a request to the mount."""
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split() for line in file]
    device = next(mount[2] for mount in reversed(mounts) if mount[4] == mountpoint)
    with open(f"/sys/class/bdi/{device}/read_ahead_kb", "w") as file:
        file.write(str(kilobytes))


def main(path: str, mountpoint: str, kilobytes: str = "1024") -> None:
    """Serve *path* on *mountpoint* until it is unmounted."""
    fd = os.open(path, os.O_RDONLY)
    mountpoint = os.path.realpath(mountpoint)
    operations = Bare(fd, mountpoint, int(kilobytes))
    pyfuse3.init(operations, mountpoint, {"default_permissions", "fsname=bare", "ro"})
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
