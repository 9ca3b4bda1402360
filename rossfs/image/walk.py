"""Walking a root filesystem, or two side by side, from the top down in the order of names.

Nothing is kept but the way down to where the walk is, whatever the tree holds; there is no limit to
its depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rossfs.image.merged import Merged, Place
from rossfs.image.rootfs import Rootfs

Item = Merged | Place

_Pairs = Iterator[tuple[bytes, Item | None, Item | None]]


class _Way:
    """The path of the directory that is looked at.

    One buffer: a path for each directory on the way would take the square of the depth.
    """

    __slots__ = ("_ends", "_path")

    def __init__(self) -> None:
        self._path = bytearray()
        self._ends = [0]

    def to(self, name: bytes) -> bytes:
        """The path of *name* in the directory."""
        return bytes(self._path) + name

    def enter(self, name: bytes) -> None:
        """Go into the directory *name*; that of the root is empty."""
        if name:
            self._path += name
            self._path += b"/"
        self._ends.append(len(self._path))

    def leave(self) -> None:
        """Go back to the directory that it is in."""
        self._ends.pop()
        if self._ends:
            del self._path[self._ends[-1] :]


def walk(rootfs: Rootfs, directory: Merged) -> Iterator[tuple[bytes, Item]]:
    """Everything below *directory*: the path from there, and what it is; a directory before what
    is in it."""
    way = _Way()
    frames = [iter(rootfs.entries(directory))]
    while frames:
        entry = next(frames[-1], None)
        if entry is None:
            frames.pop()
            way.leave()
            continue
        name, item = entry
        yield way.to(name), item
        if isinstance(item, Merged):
            way.enter(name)
            frames.append(iter(rootfs.entries(item)))


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
        way = _Way()
        top: _Pairs = iter([(b"", self._old.root, self._new.root)])
        frames = [top]
        while frames:
            entry = next(frames[-1], None)
            if entry is None:
                frames.pop()
                way.leave()
                continue
            name, old, new = entry
            self._skip = False
            yield Pair(way.to(name), old, new)
            if not self._skip and (isinstance(old, Merged) or isinstance(new, Merged)):
                way.enter(name)
                frames.append(self._children(old, new))

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
