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


def walk(rootfs: Rootfs, directory: Merged) -> Iterator[tuple[bytes, Item]]:
    """Everything below *directory*: the path from there, and what it is; a directory before what
    is in it."""
    names: list[bytes] = []
    frames = [iter(rootfs.entries(directory))]
    while frames:
        entry = next(frames[-1], None)
        if entry is None:
            frames.pop()
            if frames:
                names.pop()
            continue
        name, item = entry
        yield b"/".join((*names, name)), item
        if isinstance(item, Merged):
            names.append(name)
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
        names: list[bytes] = []
        top: _Pairs = iter([(b"", self._old.root, self._new.root)])
        frames = [top]
        while frames:
            entry = next(frames[-1], None)
            if entry is None:
                frames.pop()
                if names:
                    names.pop()
                continue
            name, old, new = entry
            self._skip = False
            yield Pair(b"/".join((*names[1:], name)), old, new)
            if not self._skip and (isinstance(old, Merged) or isinstance(new, Merged)):
                names.append(name)
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
