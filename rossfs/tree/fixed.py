"""Nodes of which nothing changes for as long as the mount lives."""

from __future__ import annotations

import abc
import stat
from typing import ClassVar

from rossfs.tree.handle import Handle
from rossfs.tree.node import FOREVER, Attr, Caller, Directory, File, is_writing, read_only


class FixedDirectory(Directory):
    """A directory whose names and attributes stay as they are."""

    __slots__ = ("modified_ns",)

    ttl: ClassVar[float] = FOREVER
    constant: ClassVar[bool] = True

    def __init__(self, ino: int, modified_ns: int = 0) -> None:
        super().__init__(ino)
        self.modified_ns = modified_ns

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self.modified_ns)


class FixedFile(File):
    """A file of *size* bytes that stay as they are."""

    __slots__ = ("modified_ns", "size")

    ttl: ClassVar[float] = FOREVER
    constant: ClassVar[bool] = True

    def __init__(self, ino: int, size: int, modified_ns: int = 0) -> None:
        super().__init__(ino)
        self.size = size
        self.modified_ns = modified_ns

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFREG | 0o444, self.modified_ns, self.size)

    async def open(self, flags: int, caller: Caller) -> Handle:
        """Open for reading; EROFS for anything else.  Errors as `opened`."""
        if is_writing(flags):
            raise read_only()
        return await self.opened()

    @abc.abstractmethod
    async def opened(self) -> Handle:
        """A handle for somebody who reads."""
