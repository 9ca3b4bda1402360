"""Walking a root filesystem, or two side by side, from the top down in the order of names.

Nothing is kept but the way down to where the walk is, whatever the tree holds; there is no limit to
its depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from rossfs.image.merged import Merged, Place
from rossfs.image.rootfs import Rootfs

Item = Merged | Place

_Pairs = Iterator[tuple[bytes, Item | None, Item | None]]

Entry = TypeVar("Entry")


class _Way(Generic[Entry]):
    """The way down to the directory that is looked at, and what is still to come in each on it.

    The path is one buffer: one for each directory on the way would take the square of the depth.
    """

    __slots__ = ("_frames", "_path")

    def __init__(self, entries: Iterator[Entry]) -> None:
        """*entries*: those of the directory that paths begin at."""
        self._path = bytearray()
        # Of each directory: the length of the path above it, and its entries that are left.
        self._frames = [(0, entries)]

    def next(self) -> Entry | None:
        """The next entry: of the directory or, at its end, of the nearest above that has one."""
        while self._frames:
            above, entries = self._frames[-1]
            entry = next(entries, None)
            if entry is not None:
                return entry
            self._frames.pop()
            del self._path[above:]
        return None

    def to(self, name: bytes) -> bytes:
        """The path of *name* in the directory."""
        return bytes(self._path) + name

    def enter(self, name: bytes, entries: Iterator[Entry]) -> None:
        """Go into the directory *name*, which has *entries*; the name of the root is empty."""
        self._frames.append((len(self._path), entries))
        if name:
            self._path += name
            self._path += b"/"


def walk(rootfs: Rootfs, directory: Merged) -> Iterator[tuple[bytes, Item]]:
    """Everything below *directory*: the path from there, and what it is; a directory before what
    is in it."""
    way = _Way(iter(rootfs.entries(directory)))
    while (entry := way.next()) is not None:
        name, item = entry
        yield way.to(name), item
        if isinstance(item, Merged):
            way.enter(name, iter(rootfs.entries(item)))


class Pair(NamedTuple):
    """A path of two root filesystems, and what it is in each; None where it is not there."""

    path: bytes
    """Without "/" at its beginning; empty for the root."""
    old: Item | None
    new: Item | None


class PairWalk:
    """Every path that one of two root filesystems has, the root first.  To be iterated over."""

    def __init__(self, old: Rootfs, new: Rootfs) -> None:
        self._old = old
        self._new = new
        self._skip = False

    def skip(self) -> None:
        """Leave out what is below the pair that was given last."""
        self._skip = True

    def __iter__(self) -> Iterator[Pair]:
        top: _Pairs = iter([(b"", self._old.root, self._new.root)])
        way = _Way(top)
        while (entry := way.next()) is not None:
            name, old, new = entry
            self._skip = False
            yield Pair(way.to(name), old, new)
            if not self._skip and (isinstance(old, Merged) or isinstance(new, Merged)):
                way.enter(name, self._children(old, new))

    def _children(self, old: Item | None, new: Item | None) -> _Pairs:
        """The names of both in one order."""
        olds = iter(self._old.entries(old)) if isinstance(old, Merged) else iter(())
        news = iter(self._new.entries(new)) if isinstance(new, Merged) else iter(())
        left, right = next(olds, None), next(news, None)
        while left is not None or right is not None:
            if right is None or (left is not None and left[0] < right[0]):
                assert left is not None
                yield left[0], left[1], None
                left = next(olds, None)
            elif left is None or right[0] < left[0]:
                yield right[0], None, right[1]
                right = next(news, None)
            else:
                yield left[0], left[1], right[1]
                left, right = next(olds, None), next(news, None)
