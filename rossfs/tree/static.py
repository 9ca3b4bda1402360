"""Places whose names and bytes are known when the mount begins."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import ClassVar

from rossfs.tree.fixed import FixedDirectory, FixedFile
from rossfs.tree.handle import Handle
from rossfs.tree.node import (
    FOREVER,
    Attr,
    Entries,
    Entry,
    Listing,
    Node,
    Symlink,
)


class StaticDirectory(FixedDirectory):
    """A directory that holds the given nodes and never another."""

    __slots__ = ("_children", "_listing")

    negative_ttl: ClassVar[float] = FOREVER

    def __init__(self, ino: int, children: Mapping[bytes, Node], modified_ns: int = 0) -> None:
        super().__init__(ino, modified_ns)
        self._children = dict(children)
        self._listing = Entries(Entry(name, node) for name, node in children.items())

    def lookup(self, name: bytes) -> Node | None:
        return self._children.get(name)

    def entries(self) -> Listing:
        return self._listing


class BytesFile(FixedFile):
    """A file with the given bytes, which never change."""

    __slots__ = ("_data",)

    def __init__(self, ino: int, data: bytes, modified_ns: int = 0) -> None:
        super().__init__(ino, len(data), modified_ns)
        self._data = data

    async def opened(self) -> Handle:
        return CachedBytes(self._data)


class FixedSymlink(Symlink):
    """A symbolic link that never changes, in a directory that never changes.

    Symbolic links have no extended attributes here: Linux refuses user.* on them (xattr(7)), and
    programs that list names which they cannot read then report errors.
    """

    __slots__ = ("_modified_ns",)

    ttl: ClassVar[float] = FOREVER
    constant: ClassVar[bool] = True

    def __init__(self, ino: int, text: bytes, modified_ns: int = 0) -> None:
        super().__init__(ino, text)
        self._modified_ns = modified_ns

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFLNK | 0o777, self._modified_ns, len(self.text))


class BytesHandle(Handle):
    """An open file whose bytes are in memory."""

    __slots__ = ("_data",)

    passive: ClassVar[bool] = True

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_ready(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    async def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


class CachedBytes(BytesHandle):
    """Bytes that are the same at each opening, so that the kernel may keep them."""

    __slots__ = ()

    keep_cache: ClassVar[bool] = True
