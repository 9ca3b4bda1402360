"""Requests about open files, from OPEN or CREATE to RELEASE.

`operations.py` has the requests about names, and the rules that hold for both; `readdir.py` has
listings, which need nothing open.
"""

from __future__ import annotations

import errno
from collections import defaultdict

import pyfuse3
from pyfuse3 import EntryAttributes, FileInfo, FUSEError, RequestContext

from rossfs.fs.boundary import Boundary
from rossfs.fs.handles import Handles
from rossfs.fs.inodes import Inodes
from rossfs.fs.notify import Watcher
from rossfs.fs.readdir import Readdir
from rossfs.fs.rewrite import Rewrites
from rossfs.fs.statfs import NAME_MAX
from rossfs.tree.handle import Handle
from rossfs.tree.node import Caller, Directory, File, Published, is_writing, read_only


def caller(ctx: RequestContext) -> Caller:
    """Who made a request, as nodes want to know it."""
    return Caller(ctx.uid, ctx.gid, ctx.pid, ctx.umask)


class OpenFiles(pyfuse3.Operations):
    """The handlers of open files, and the state that all handlers share."""

    def __init__(
        self, inodes: Inodes, watcher: Watcher, umask: int, read_only: bool = False
    ) -> None:
        super().__init__()
        self._read_only = read_only
        self._inodes = inodes
        self._watcher = watcher
        self._rewrites = Rewrites()
        self._files: Handles[Handle] = Handles()
        self._open = self._files.by_number
        self._requests: defaultdict[str, int] = defaultdict(int)
        self._readdir = Readdir(inodes, watcher, umask, self._requests)
        self._boundary = Boundary()
        self.failure = self._boundary.failure

    async def _changeable(self, ino: int, name: bytes) -> Directory:
        """The directory of *ino*, in which *name* is to be changed."""
        directory = self._inodes.directory(ino)
        if self._read_only:
            raise read_only()
        if len(name) > NAME_MAX:
            raise FUSEError(errno.ENAMETOOLONG)
        if not directory.loaded:
            with self._watcher.handling(ino):
                await directory.load()
        return directory

    # Files

    async def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        self._requests["open"] += 1
        try:
            node = self._inodes.node(inode)
            if not isinstance(node, File):
                raise FUSEError(errno.EISDIR if isinstance(node, Directory) else errno.ELOOP)
            if self._read_only and is_writing(flags):
                raise read_only()
            mark = self._rewrites.take(ctx.pid)
            try:
                handle = await node.open(flags, caller(ctx))
            except Published:
                raise self._rewrites.refuse(node, flags, ctx.pid, mark) from None
            return self._opened(handle)
        except Exception as error:
            raise self.failure("open", error) from None

    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        self._requests["create"] += 1
        try:
            directory = await self._changeable(parent_inode, name)
            self._rewrites.take(ctx.pid)
            with self._watcher.suppressed(parent_inode, name):
                node, handle = await directory.create(name, mode, flags, caller(ctx))
                try:
                    entry = self._inodes.remember(node, parent_inode)
                except BaseException:
                    await handle.release()
                    raise
            return self._opened(handle), entry
        except Exception as error:
            raise self.failure("create", error) from None

    def _opened(self, handle: Handle) -> FileInfo:
        return FileInfo(
            fh=self._files.add(handle), direct_io=handle.direct_io, keep_cache=handle.keep_cache
        )

    async def read(self, fh: int, off: int, size: int) -> bytes:
        self._requests["read"] += 1
        try:
            handle = self._open.get(fh)
            if handle is None:
                raise FUSEError(errno.EBADF)
            data = await handle.read(off, size)
            if type(data) is not bytes and not memoryview(data).c_contiguous:
                raise BufferError("only contiguous bytes can be sent")
            return data  # type: ignore[return-value]  # pyfuse3 sends any buffer
        except Exception as error:
            raise self.failure("read", error) from None

    async def write(self, fh: int, off: int, buf: bytes) -> int:
        self._requests["write"] += 1
        try:
            return int(await self._files.get(fh).write(off, buf))
        except Exception as error:
            raise self.failure("write", error) from None

    async def flush(self, fh: int) -> None:
        self._requests["flush"] += 1
        if self._read_only:
            # Nothing is ever written, so there is nothing to flush; the kernel asks no more.
            raise FUSEError(errno.ENOSYS)
        try:
            await self._files.get(fh).flush()
        except Exception as error:
            raise self.failure("flush", error) from None

    async def fsync(self, fh: int, datasync: bool) -> None:
        self._requests["fsync"] += 1
        try:
            await self._files.get(fh).fsync(datasync)
        except Exception as error:
            raise self.failure("fsync", error) from None

    async def release(self, fh: int) -> None:
        self._requests["release"] += 1
        try:
            await self._files.take(fh).release()
        except Exception as error:
            raise self.failure("release", error) from None

    # Directories

    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Every change of a name is on disk before it is answered."""
        self._requests["fsyncdir"] += 1

    async def close(self) -> None:
        """The mount ended: release what the kernel did not, forget what it still knew."""
        for fh in list(self._open):
            try:
                await self.release(fh)
            except FUSEError as error:
                self._boundary.lost("release at the end of the mount", error)
        self._inodes.forget_all()
