"""The tree of one layer, as merging sees it: names, and the few facts that decide."""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, cast

from rossfs.image.record import IMPLIED, LOWER_LINK, RECORD_SIZE, Record
from rossfs.image.toc import Toc
from rossfs.image.whiteout import is_marker

_FACTS = struct.Struct("=6xH40xI4xI").unpack_from
"""mode, inode and flags of a record."""

_FLAGS = struct.Struct("=56xI4x").iter_unpack

_NAMED = struct.Struct("=IH50xI4x").iter_unpack
"""Where the name is and how long, and flags."""

PECULIAR = IMPLIED | LOWER_LINK
"""Flags of names that may turn out to mean nothing."""

_UNKNOWN, _VOID, _SOLID = range(3)


class HasToc(Protocol):
    """What merging needs of a layer: its table of contents."""

    @property
    def toc(self) -> Toc: ...


class LayerTree:
    """The tree of a layer, just as its table of contents has it."""

    __slots__ = ("_buffer", "_records", "_voids", "children", "find", "toc")

    find: Callable[[int, bytes], int]
    """find(directory, name): the index of the child, or -1."""

    children: Callable[[int], Sequence[int]]
    """children(directory): the indices of all children, sorted by name."""

    def __init__(self, toc: Toc) -> None:
        self.toc = toc
        self.find = toc.find
        self.children = toc.children
        self._buffer = toc.buffer
        self._records = toc.records_offset
        self._voids: bytearray | None = None

    @property
    def limit(self) -> int:
        """One more than the highest index."""
        return self.toc.count

    def keys(self, directory: int) -> tuple[Sequence[int], int, int]:
        """The last three of a Probe."""
        children = self.toc.children(directory)
        return self.toc.keys, children.start, children.stop

    def facts(self, index: int) -> tuple[int, int, int]:
        """mode, inode and flags of *index*."""
        return cast(
            "tuple[int, int, int]", _FACTS(self._buffer, self._records + RECORD_SIZE * index)
        )

    def all_plain(self, children: Sequence[int]) -> bool:
        """Whether each of these *children* of one directory is what it seems (PECULIAR)."""
        if not isinstance(children, range):
            return False
        start = self._records + RECORD_SIZE * children.start
        records = self._buffer[start : start + RECORD_SIZE * len(children)]
        return not any(flags & PECULIAR for (flags,) in _FLAGS(records))

    def named(self, children: Sequence[int]) -> Iterator[tuple[bytes, int, int]]:
        """Name, index and flags of each of these *children* of one directory."""
        if not isinstance(children, range):
            for index in children:
                yield self.name(index), index, self.facts(index)[2]
            return
        buffer, heap = self._buffer, self.toc.heap_offset
        start = self._records + RECORD_SIZE * children.start
        records = buffer[start : start + RECORD_SIZE * len(children)]
        for index, (at, length, flags) in zip(children, _NAMED(records), strict=True):
            at += heap
            yield buffer[at : at + length], index, flags

    def record(self, index: int) -> Record:
        """The record of *index*."""
        return self.toc.record(index)

    def name(self, index: int) -> bytes:
        """The name of *index*."""
        return self.toc.name(index)

    def parent(self, index: int) -> int:
        """The directory that shows *index*."""
        return self.toc.parent(index)

    def owner(self, index: int) -> int:
        """The record that has the attributes of the directory *index*."""
        return index

    def forget_voids(self) -> None:
        """The tree has changed since `is_void` was asked."""
        self._voids = None

    def is_void(self, index: int) -> bool:
        """Whether there is nothing in the implied directory *index* but markers, and directories
        of which the same is true.

        Work is bounded by the number of directories, over all calls; memory is a byte for each
        record, from the first call on.
        """
        known = self._voids
        if known is None:
            known = self._voids = bytearray()
        if len(known) < self.limit:
            known += bytes(self.limit - len(known))
        if known[index] != _UNKNOWN:
            return known[index] == _VOID
        chain: list[tuple[int, Iterator[int]]] = [(index, iter(self.children(index)))]
        while chain:
            child = self._first_unknown(chain[-1][1], known)
            if child is None:
                known[chain.pop()[0]] = _VOID
            elif child < 0:
                for directory, _ in chain:
                    known[directory] = _SOLID
                return False
            else:
                chain.append((child, iter(self.children(child))))
        return True

    def _first_unknown(self, children: Iterator[int], known: bytearray) -> int | None:
        """The next of *children* that decides: -1 if it is shown, its index if it is an implied
        directory of which nothing is known; None if there is no more."""
        for child in children:
            if is_marker(self.name(child)):
                continue
            mode, _, flags = self.facts(child)
            if not stat.S_ISDIR(mode) or not flags & IMPLIED:
                return -1
            if known[child] == _UNKNOWN:
                return child
            if known[child] == _SOLID:
                return -1
        return None
