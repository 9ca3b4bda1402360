"""A small tree in memory, with everything a node may do, to ask handlers about.

`published` files answer Published when they are opened for writing; the directory `Memory` then
offers a draft that takes the published file's place when it is released, as the places of the mount
where one can write do.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from itertools import count
from typing import ClassVar

from rossfs.tree.handle import Handle
from rossfs.tree.node import (
    FOREVER,
    Attr,
    AttrChange,
    Caller,
    Directory,
    Entries,
    Entry,
    File,
    Listing,
    Node,
    Published,
    Symlink,
    Unsettled,
    is_writing,
    read_only,
)

_numbers = count(1000)


def number() -> int:
    """An inode number that no other node has."""
    return next(_numbers)


class MemoryHandle(Handle):
    """An open file of the tree; counts what is done to it."""

    __slots__ = ("file", "flushed", "released", "synced")

    def __init__(self, file: MemoryFile) -> None:
        self.file = file
        self.flushed = 0
        self.released = 0
        self.synced: list[bool] = []

    async def read(self, offset: int, size: int) -> bytes | bytearray | memoryview:
        return memoryview(self.file.data)[offset : offset + size]

    async def write(self, offset: int, data: bytes) -> int:
        end = offset + len(data)
        self.file.data.extend(bytes(max(0, end - len(self.file.data))))
        self.file.data[offset:end] = data
        return len(data)

    async def flush(self) -> None:
        self.flushed += 1

    async def fsync(self, data_only: bool) -> None:
        self.synced.append(data_only)

    async def release(self) -> None:
        self.released += 1
        if self.file.becomes is not None:
            directory, name, _caller = self.file.becomes
            directory.children[name] = MemoryFile(bytes(self.file.data), published=True)


class MemoryFile(File):
    """A file whose bytes are in memory."""

    __slots__ = ("attributes", "becomes", "data", "forgets", "handles", "mtime_ns", "published")

    def __init__(
        self,
        data: bytes = b"",
        published: bool = False,
        mtime_ns: int = 0,
        attributes: Mapping[bytes, bytes] | None = None,
        ino: int = 0,
    ) -> None:
        super().__init__(ino or number())
        self.data = bytearray(data)
        self.published = published
        self.mtime_ns = mtime_ns
        self.attributes = dict(attributes or {})
        self.becomes: tuple[Memory, bytes, int] | None = None
        self.handles: list[MemoryHandle] = []
        self.forgets = 0

    def attr(self) -> Attr:
        return Attr(stat.S_IFREG | 0o644, size=len(self.data), mtime_ns=self.mtime_ns)

    def xattrs(self) -> Mapping[bytes, bytes]:
        return self.attributes

    async def setattr(self, change: AttrChange, caller: Caller) -> None:
        if change.size is not None:
            if self.published:
                raise read_only()
            del self.data[change.size :]
            self.data.extend(bytes(change.size - len(self.data)))
        if change.mtime_ns is not None:
            self.mtime_ns = change.mtime_ns

    async def setxattr(self, name: bytes, value: bytes) -> None:
        self.attributes[name] = value

    async def removexattr(self, name: bytes) -> None:
        del self.attributes[name]

    async def open(self, flags: int, caller: Caller) -> Handle:
        if self.published and is_writing(flags):
            raise Published
        if flags & os.O_TRUNC:
            self.data.clear()
        if self.becomes is not None:
            directory, name, caller_pid = self.becomes
            directory.drafts.pop((name, caller_pid), None)
        self.handles.append(MemoryHandle(self))
        return self.handles[-1]

    def forgotten(self) -> None:
        self.forgets += 1


class Constant(MemoryFile):
    """A file that never changes, as content that is named by its digest."""

    __slots__ = ("asked",)

    ttl: ClassVar[float] = FOREVER
    constant: ClassVar[bool] = True

    def __init__(self, data: bytes = b"", ino: int = 0) -> None:
        super().__init__(data, published=True, ino=ino)
        self.asked = 0

    def attr(self) -> Attr:
        self.asked += 1
        return super().attr()


class Memory(Directory):
    """A directory in which everything can be done."""

    __slots__ = ("children", "drafts", "paths")

    def __init__(
        self, children: Mapping[bytes, Node] | None = None, ino: int = 0, paths: Sequence[str] = ()
    ) -> None:
        super().__init__(ino or number())
        self.children: dict[bytes, Node] = dict(children or {})
        self.drafts: dict[tuple[bytes, int], MemoryFile] = {}
        self.paths = paths

    def attr(self) -> Attr:
        return Attr(stat.S_IFDIR | 0o755)

    def lookup(self, name: bytes) -> Node | None:
        return self.children.get(name)

    def entries(self) -> Listing:
        return Entries(Entry(name, node) for name, node in self.children.items())

    def watched(self) -> Sequence[str]:
        return self.paths

    async def rewrite(self, name: bytes, node: Node, flags: int, caller: Caller) -> Node | None:
        published = self.children.get(name)  # not node: another writer may have replaced it
        if not isinstance(published, MemoryFile) or isinstance(published, Constant):
            return None
        draft = self.drafts.get((name, caller.pid))
        if draft is None:
            draft = MemoryFile(b"" if flags & os.O_TRUNC else bytes(published.data))
            draft.becomes = self, name, caller.pid
            self.drafts[name, caller.pid] = draft
        return draft

    async def create(
        self, name: bytes, mode: int, flags: int, caller: Caller
    ) -> tuple[Node, Handle]:
        file = MemoryFile()
        self.children[name] = file
        return file, await file.open(flags, caller)

    async def mknod(self, name: bytes, mode: int, rdev: int, caller: Caller) -> Node:
        return self._add(name, MemoryFile())

    async def mkdir(self, name: bytes, mode: int, caller: Caller) -> Node:
        return self._add(name, Memory())

    async def symlink(self, name: bytes, target: bytes, caller: Caller) -> Node:
        return self._add(name, Symlink(number(), target))

    async def link(self, name: bytes, node: Node, caller: Caller) -> Node:
        return self._add(name, node)

    def _add(self, name: bytes, node: Node) -> Node:
        if name in self.children:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.children[name] = node
        return node

    async def unlink(self, name: bytes, caller: Caller) -> None:
        if self.children.pop(name, None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    async def rmdir(self, name: bytes, caller: Caller) -> None:
        await self.unlink(name, caller)

    async def rename(
        self, name: bytes, target: Directory, target_name: bytes, flags: int, caller: Caller
    ) -> None:
        assert isinstance(target, Memory)
        target.children[target_name] = self.children.pop(name)


class Late(Memory):
    """A directory that must load, and whose answers are there only after *rounds* of settling."""

    __slots__ = ("loaded", "loads", "rounds")

    def __init__(self, children: Mapping[bytes, Node], rounds: int = 0) -> None:
        super().__init__(children)
        self.loaded = False
        self.loads = 0
        self.rounds = rounds

    async def load(self) -> None:
        self.loads += 1
        self.loaded = True

    async def settle(self) -> None:
        self.rounds -= 1

    def lookup(self, name: bytes) -> Node | None:
        assert self.loaded
        if self.rounds > 0:
            raise Unsettled
        return super().lookup(name)

    def entries(self) -> Listing:
        assert self.loaded
        if self.rounds > 0:
            raise Unsettled
        return super().entries()


class Names(Directory):
    """A directory of many names, listed without nodes; each is a file when it is looked up."""

    __slots__ = ("many",)

    def __init__(self, many: int) -> None:
        super().__init__(number())
        self.many = many

    def lookup(self, name: bytes) -> Node | None:
        position = int(name)
        return Constant(name, ino=1 << 40 | position) if position < self.many else None

    def entries(self) -> Listing:
        return _Named(self.many)


class _Named(Sequence[Entry]):
    def __init__(self, many: int) -> None:
        self._many = many

    def __len__(self) -> int:
        return self._many

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return Entry(b"%08d" % index, None, stat.S_IFREG, 1 << 40 | index)
