"""One handler for each kind of request: find the node, ask it, answer the kernel.

Each handler is one try, and only FUSEError leaves it (boundary.py).  lookup, getattr, readdir and
read of what is in memory pass no checkpoint, take no lock and log nothing; what is ours of them
stays under 2 microseconds (tests/bench/handlers.py).

Nothing here knows what a place in the mount means, and nothing below knows of the kernel.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable, Sequence

import pyfuse3
from pyfuse3 import EntryAttributes, FUSEError, RequestContext, SetattrFields, StatvfsData

from rossfs.fs.attributes import Attributes, absent, wanted
from rossfs.fs.direct import USER, Direct
from rossfs.fs.inodes import Inodes
from rossfs.fs.notify import Watcher
from rossfs.fs.openfiles import OpenFiles, caller
from rossfs.fs.settling import settled
from rossfs.fs.statfs import NAME_MAX, Statfs
from rossfs.tree.node import Directory, Node, Symlink, Unsettled, read_only
from rossfs.tree.trees import Trees


class Operations(OpenFiles):
    """All handlers, over the tree below *root*, whose number must be 1.

    *read_only* refuses every change with EROFS, whatever the nodes would say.
    """

    supports_dot_lookup = False  # only NFS servers ask for "." and "..", and they are not served

    def __init__(
        self,
        root: Directory,
        attributes: Attributes,
        statfs: Statfs,
        watcher: Watcher,
        read_only: bool = False,
        trees: Trees | None = None,
    ) -> None:
        if root.ino != pyfuse3.ROOT_INODE:
            raise ValueError(f"the root must have inode number 1, not {root.ino}")
        inodes = Inodes(root, attributes, watcher.appeared, watcher.vanished, trees)
        super().__init__(inodes, watcher, attributes.umask, read_only)
        self._attributes = attributes
        self._statfs = statfs
        self._known = inodes.known
        self._directories = inodes.directories
        self._unwatched = watcher.unwatched
        self._marks = self._rewrites.marks
        self._absent: dict[float, EntryAttributes] = {}
        self.direct = Direct(
            inodes, self._files, self._readdir, self._rewrites, self._requests, attributes.umask
        )
        """Answers to the kernel itself, of what these handlers would answer to pyfuse3."""
        self.ahead = self._readdir.ahead.step
        """Does a little of what the kernel may ask for next; whether there was any."""

    def stats(self) -> dict[str, object]:
        """Figures since the mount began, plain values that JSON can hold."""
        errors = self._boundary.counts
        return {
            "requests": dict(sorted(self._requests.items())),
            "errors": {errno.errorcode.get(n, str(n)): errors[n] for n in sorted(errors)},
            "inodes": len(self._inodes),
            "lookups_in_trees": sum(self._inodes.lookups.values()),
            "open_files": len(self._files),
            "listings": len(self._readdir),
            "watches": len(self._watcher),
        }

    # Names and attributes

    async def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        self._requests["lookup"] += 1
        try:
            directory = self._directories.get(parent_inode)
            if directory is None:
                directory = self._inodes.directory(parent_inode)
            if parent_inode in self._unwatched:
                self._watcher.watch(directory)
            if self._marks:
                instead = await self._rewritten(directory, name, ctx)
                if instead is not None:
                    answer = self._attributes.uncached(instead)
                    self._inodes.remember(instead, parent_inode)
                    return answer
            try:
                if directory.loaded:
                    node = directory.lookup(name)
                else:
                    node = await self._find(directory, name)
            except Unsettled:
                node = await self._find(directory, name)
            if node is not None:
                return self._inodes.remember(node, parent_inode)
            if self._marks:
                self._rewrites.take(ctx.pid)  # its walk ends here
            if directory.notes_absence:
                node = directory.missed(name, caller(ctx))
                if node is not None:
                    return self._inodes.remember(node, parent_inode)
            return self._no_such_name(directory, name)
        except FUSEError:
            raise
        except Exception as error:
            raise self.failure("lookup", error) from None

    async def _find(self, directory: Directory, name: bytes) -> Node | None:
        with self._watcher.handling(directory.ino):
            return await settled(directory, lambda: directory.lookup(name))

    async def _rewritten(
        self, directory: Directory, name: bytes, ctx: RequestContext
    ) -> Node | None:
        mark = self._rewrites.walking(ctx.pid)
        if mark is None:
            return None
        with self._watcher.handling(directory.ino):
            if not directory.loaded:
                await directory.load()
            return await directory.rewrite(name, mark.node, mark.flags, caller(ctx))

    def _no_such_name(self, directory: Directory, name: bytes) -> EntryAttributes:
        if len(name) > NAME_MAX:
            raise FUSEError(errno.ENAMETOOLONG)
        ttl = directory.negative_ttl
        if not ttl:
            raise FUSEError(errno.ENOENT)
        answer = self._absent.get(ttl)
        if answer is None:
            answer = self._absent[ttl] = absent(ttl)
        return answer

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        self._requests["forget"] += len(inode_list)
        self._inodes.forget(inode_list)

    async def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        self._requests["getattr"] += 1
        try:
            known = self._known.get(inode)
            if known is None:
                return self._inodes.answer(self._inodes.node(inode))
            return known.answer or self._inodes.current(known)
        except Exception as error:
            raise self.failure("getattr", error) from None

    async def setattr(
        self,
        inode: int,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: int | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        self._requests["setattr"] += 1
        try:
            node = self._inodes.node(inode)
            if self._read_only:
                raise read_only()
            await node.setattr(wanted(attr, fields), caller(ctx))
            return self._inodes.answer(node)
        except Exception as error:
            raise self.failure("setattr", error) from None

    async def readlink(self, inode: int, ctx: RequestContext) -> bytes:
        self._requests["readlink"] += 1
        try:
            node = self._inodes.node(inode)
            if not isinstance(node, Symlink):
                raise FUSEError(errno.EINVAL)
            return bytes(node.target())
        except Exception as error:
            raise self.failure("readlink", error) from None

    async def access(self, inode: int, mode: int, ctx: RequestContext) -> bool:
        """Asked only without default_permissions: then the kernel lets everybody whom it lets in
        do everything, and only what the modes of all refuse is refused."""
        self._requests["access"] += 1
        try:
            node = self._inodes.node(inode)
            bits = node.attr().mode
            if mode & os.W_OK and (self._read_only or not bits & 0o222):
                return False
            return not (mode & os.X_OK and not bits & 0o111)
        except Exception as error:
            raise self.failure("access", error) from None

    # Changes of directories

    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        return await self._make(
            "mknod", parent_inode, name, lambda d: d.mknod(name, mode, rdev, caller(ctx))
        )

    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: RequestContext
    ) -> EntryAttributes:
        return await self._make(
            "mkdir", parent_inode, name, lambda d: d.mkdir(name, stat.S_IMODE(mode), caller(ctx))
        )

    async def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        return await self._make(
            "symlink", parent_inode, name, lambda d: d.symlink(name, target, caller(ctx))
        )

    async def link(
        self, inode: int, new_parent_inode: int, new_name: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        return await self._make(
            "link",
            new_parent_inode,
            new_name,
            lambda d: d.link(new_name, self._inodes.node(inode), caller(ctx)),
        )

    async def _make(
        self, request: str, parent: int, name: bytes, make: Callable[[Directory], Awaitable[Node]]
    ) -> EntryAttributes:
        self._requests[request] += 1
        try:
            directory = await self._changeable(parent, name)
            with self._watcher.suppressed(parent, name):
                return self._inodes.remember(await make(directory), parent)
        except Exception as error:
            raise self.failure(request, error) from None

    async def unlink(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        await self._remove("unlink", parent_inode, name, lambda d: d.unlink(name, caller(ctx)))

    async def rmdir(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        await self._remove("rmdir", parent_inode, name, lambda d: d.rmdir(name, caller(ctx)))

    async def _remove(
        self, request: str, parent: int, name: bytes, remove: Callable[[Directory], Awaitable[None]]
    ) -> None:
        self._requests[request] += 1
        try:
            directory = await self._changeable(parent, name)
            with self._watcher.suppressed(parent, name):
                await remove(directory)
        except Exception as error:
            raise self.failure(request, error) from None

    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: RequestContext,
    ) -> None:
        self._requests["rename"] += 1
        try:
            source = await self._changeable(parent_inode_old, name_old)
            target = await self._changeable(parent_inode_new, name_new)
            with (
                self._watcher.suppressed(parent_inode_old, name_old),
                self._watcher.suppressed(parent_inode_new, name_new),
            ):
                await source.rename(name_old, target, name_new, flags, caller(ctx))
        except Exception as error:
            raise self.failure("rename", error) from None

    # Extended attributes, and the filesystem

    async def getxattr(self, inode: int, name: bytes, ctx: RequestContext) -> bytes:
        self._requests["getxattr"] += 1
        try:
            node = self._inodes.node(inode)
            # The kernel asks for security.capability with each write(2), ls -l for ACLs.
            if name.startswith(USER) or node.foreign_xattrs:
                value = await node.xattr(name)
                if value is not None:
                    return bytes(value)
            raise FUSEError(errno.ENODATA)
        except FUSEError:
            raise
        except Exception as error:
            raise self.failure("getxattr", error) from None

    async def listxattr(self, inode: int, ctx: RequestContext) -> Sequence[bytes]:
        self._requests["listxattr"] += 1
        try:
            return [bytes(name) for name in self._inodes.node(inode).xattrs()]
        except Exception as error:
            raise self.failure("listxattr", error) from None

    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: RequestContext) -> None:
        self._requests["setxattr"] += 1
        try:
            node = self._inodes.node(inode)
            if self._read_only:
                raise read_only()
            if not name.startswith(USER) and not node.foreign_xattrs:
                raise FUSEError(errno.EOPNOTSUPP)
            await node.setxattr(name, value)
        except Exception as error:
            raise self.failure("setxattr", error) from None

    async def removexattr(self, inode: int, name: bytes, ctx: RequestContext) -> None:
        self._requests["removexattr"] += 1
        try:
            node = self._inodes.node(inode)
            if self._read_only:
                raise read_only()
            if name not in node.xattrs():
                raise FUSEError(errno.ENODATA)
            await node.removexattr(name)
        except Exception as error:
            raise self.failure("removexattr", error) from None

    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        self._requests["statfs"] += 1
        try:
            return await self._statfs.ask()
        except Exception as error:
            raise self.failure("statfs", error) from None
