"""A tree in memory whose nodes are made again from their numbers, as those of images are.

Index 0 is the directory that the others are in; index 1 is a directory in it, empty; then come
files, and symbolic links at the multiples of ten.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Mapping
from typing import ClassVar

from rossfs.tree.handle import Handle
from rossfs.tree.node import (
    FOREVER,
    Attr,
    Caller,
    Directory,
    File,
    Node,
    Row,
    Rows,
    Symlink,
    Tree,
    is_writing,
    read_only,
)
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from rossfs.tree.trees import Trees
from tests.fs.memory import Memory

PARENT = 77
"""The number of the directory that the tree is in."""

MODE = 0o4777


class Forest(Tree):
    """A tree of *many* names."""

    def __init__(self, number: int, many: int) -> None:
        super().__init__(number)
        self.many = many
        self.made = 0

    def node(self, ino: int) -> Node:
        index = ino & INDEX
        if index > self.many:
            raise OSError(errno.ESTALE, f"no tree {index}")
        self.made += 1
        if index < 2:
            return Grove(self, index)
        return Twig(self, index) if index % 10 == 0 else Leaf(self, index)

    def ino(self, index: int) -> int:
        return self.number << TREE_SHIFT | index

    def attr(self, index: int) -> Attr:
        time_ns = (index // 3 - 2) * 10**9 + index
        kind, size, rdev = stat.S_IFREG, index * 100, 0
        if index < 2:
            kind, size = stat.S_IFDIR, 0
        elif index % 10 == 0:
            kind, size = stat.S_IFLNK, len(b"%d" % index)
        elif index % 10 == 1:
            kind, size, rdev = stat.S_IFCHR, 0, 0x103
        return Attr(
            kind | MODE, size, 1 + index % 3, index, index + 1, rdev, time_ns, time_ns, time_ns
        )


class Grove(Directory):
    """A directory of a forest."""

    __slots__ = ("forest", "index")

    ttl: ClassVar[float] = FOREVER
    negative_ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True
    foreign_xattrs: ClassVar[bool] = True

    def __init__(self, forest: Forest, index: int = 0) -> None:
        super().__init__(forest.ino(index))
        self.forest = forest
        self.index = index

    def attr(self) -> Attr:
        return self.forest.attr(self.index)

    def parent_ino(self) -> int:
        return self.forest.ino(0) if self.index else PARENT

    def lookup(self, name: bytes) -> Node | None:
        if self.index or not name.isdigit():
            return None
        index = int(name)
        return self.forest.node(self.forest.ino(index)) if 1 <= index <= self.forest.many else None

    def entries(self) -> Rows:
        return Trunk(self.forest, 0 if self.index else self.forest.many)


class Trunk(Rows):
    """The names of a directory of a forest."""

    __slots__ = ("_forest", "_many")

    def __init__(self, forest: Forest, many: int) -> None:
        self._forest = forest
        self._many = many

    def __len__(self) -> int:
        return self._many

    def rows(self, start: int) -> Iterator[tuple[bytes, int, int, int, int, int, int, int, int]]:
        for index in range(start + 1, self._many + 1):
            mode, size, nlink, uid, gid, rdev, mtime_ns, _, _ = self._forest.attr(index)
            assert uid is not None
            assert gid is not None
            ino = self._forest.ino(index)
            yield Row(b"%d" % index, ino, mode, size, nlink, uid, gid, rdev, mtime_ns)


class Leaf(File):
    """A file of a forest: its name, again and again."""

    __slots__ = ("forest", "index")

    ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True
    foreign_xattrs: ClassVar[bool] = True

    def __init__(self, forest: Forest, index: int) -> None:
        super().__init__(forest.ino(index))
        self.forest = forest
        self.index = index

    def attr(self) -> Attr:
        return self.forest.attr(self.index)

    def xattrs(self) -> Mapping[bytes, bytes]:
        return {b"security.capability": b"%d" % self.index}

    async def open(self, flags: int, caller: Caller) -> Handle:
        if is_writing(flags):
            raise read_only()
        return LeafHandle(b"%d" % self.index * 100)


class LeafHandle(Handle):
    """An open file of a forest."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


class Twig(Symlink):
    """A symbolic link of a forest."""

    __slots__ = ("forest", "index")

    ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True

    def __init__(self, forest: Forest, index: int) -> None:
        super().__init__(forest.ino(index), b"%d" % index)
        self.forest = forest
        self.index = index

    def attr(self) -> Attr:
        return self.forest.attr(self.index)


class Clearing(Memory):
    """A directory that makes a forest when somebody looks for `forest`, as an image does."""

    __slots__ = ("many", "times", "trees")

    def __init__(self, trees: Trees, many: int) -> None:
        super().__init__(ino=PARENT)
        self.trees = trees
        self.many = many
        self.times = 0

    def lookup(self, name: bytes) -> Node | None:
        if name != b"forest":
            return super().lookup(name)
        forest = self.trees.get(5)
        if not isinstance(forest, Forest):
            self.times += 1
            forest = Forest(5, self.many)
        self.trees.hold(forest)
        return Grove(forest)
