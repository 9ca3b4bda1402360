"""A tree of any shape whose directories are in one another, and those who walk through it."""

from __future__ import annotations

import errno
import stat
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import ClassVar

from hypothesis import strategies as st

from rossfs.tree.node import FOREVER, Attr, Directory, Node, Row, Rows, Tree
from rossfs.tree.numbers import INDEX, TREE_SHIFT
from tests.fs.forest import Forest, Leaf
from tests.fs.listing import Listed

TOP = 5 << TREE_SHIFT

Shape = Sequence["Shape | None"]
"""What is in a directory: directories, and files (None)."""


class Thicket(Tree):
    """The tree; `listed` counts by number how often a listing was made."""

    def __init__(self, shape: Shape, number: int = 5) -> None:
        super().__init__(number)
        self.inside: dict[int, list[int]] = {}
        """By the index of a directory what is in it."""
        self.above = {0: 0}
        self.listed: Counter[int] = Counter()
        self.broken: set[int] = set()
        """Directories that have no listing today."""
        self.missing: set[int] = set()
        """Directories that are not there."""
        self._count = 0
        self._plant(shape)

    def _plant(self, shape: Shape) -> int:
        index, self._count = self._count, self._count + 1
        self.inside[index] = []
        for below in shape:
            if below is None:
                child, self._count = self._count, self._count + 1
            else:
                child = self._plant(below)
            self.inside[index].append(child)
            self.above[child] = index
        return index

    def node(self, ino: int) -> Node:
        index = ino & INDEX
        if index in self.missing or index >= self._count:
            raise OSError(errno.ESTALE, "is not there")
        return Bush(self, index) if index in self.inside else Leaf(Forest(self.number, 0), index)

    def ino(self, index: int) -> int:
        return self.number << TREE_SHIFT | index


class Bush(Directory):
    """A directory of it."""

    ttl: ClassVar[float] = FOREVER
    remade: ClassVar[bool] = True

    def __init__(self, thicket: Thicket, index: int) -> None:
        super().__init__(thicket.ino(index))
        self._thicket = thicket
        self._index = index

    def attr(self) -> Attr:
        return Attr(stat.S_IFDIR | 0o755, 0, 1, 0, 0)

    def parent_ino(self) -> int:
        return self._thicket.ino(self._thicket.above[self._index])

    def lookup(self, name: bytes) -> Node | None:
        return None

    def about(self) -> int:
        return len(self._thicket.inside[self._index])

    def entries(self) -> Rows:
        self._thicket.listed[self.ino] += 1
        if self._index in self._thicket.broken:
            raise OSError(errno.EIO, "bad table")
        return Branches(self._thicket, self._thicket.inside[self._index])


class Branches(Rows):
    """What is in a directory; names differ in length."""

    def __init__(self, thicket: Thicket, children: list[int]) -> None:
        self._thicket = thicket
        self._children = children

    def __len__(self) -> int:
        return len(self._children)

    def rows(self, start: int) -> Iterator[Row]:
        for index in self._children[start:]:
            kind = stat.S_IFDIR if index in self._thicket.inside else stat.S_IFREG
            name = b"%d" % index + b"x" * (index % 40)
            yield Row(name, self._thicket.ino(index), kind | 0o755, 0, 1, 0, 0, 0, index)


def shapes() -> st.SearchStrategy[Shape]:
    """Small trees, some flat, some deep."""
    return st.recursive(
        st.lists(st.none(), max_size=12),
        lambda below: st.lists(st.none() | below, max_size=12),
        max_leaves=25,
    )


# Walking

Walk = Generator[tuple[int, int], list[Listed], None]
"""Says which directory it reads from which offset on, and is told what is there."""


def _read(ino: int) -> Generator[tuple[int, int], list[Listed], list[int]]:
    """Read a directory to its end; the directories in it."""
    found: list[int] = []
    offset = 0
    while entries := (yield ino, offset):
        found += [entry.ino for entry in entries if entry.node_id and entry.kind == 4]
        offset = entries[-1].offset
    return found


def forward(top: int) -> Walk:
    """As find(1) does: the first one first."""
    for below in (yield from _read(top)):
        yield from forward(below)


def backward(top: int) -> Walk:
    """The last one first."""
    for below in reversed((yield from _read(top))):
        yield from backward(below)


def pruned(top: int) -> Walk:
    """Without some of them."""
    for below in (yield from _read(top)):
        if below % 3:
            yield from pruned(below)


def broad(top: int) -> Walk:
    """All of one level before those of the next."""
    coming = deque([top])
    while coming:
        coming += yield from _read(coming.popleft())


def hasty(top: int) -> Walk:
    """Goes down before it has read a directory to its end."""
    offset = 0
    while entries := (yield top, offset):
        offset = entries[-1].offset
        for entry in entries:
            if entry.node_id and entry.kind == 4:
                yield from hasty(entry.ino)


def first_only(top: int) -> Walk:
    """Reads no directory to its end."""
    for entry in (yield top, 0):
        if entry.node_id and entry.kind == 4:
            yield from first_only(entry.ino)


WALKS: tuple[Callable[[int], Walk], ...] = (forward, backward, pruned, broad, hasty, first_only)
