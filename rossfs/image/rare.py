"""What few files have: extended attributes, and the pieces of sparse files.

    pieces      number of pieces (8 bytes), length of the attributes (8 bytes)
    ...         24 bytes for each: offset in the file, length, offset from the first stored byte
    attributes  msgpack: {name: value}

Pieces are in order and do not overlap.  Integers are in the byte order of the machine.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

import msgpack

from rossfs.errors import InvalidTable

_HEAD = struct.Struct("=QQ")
_PIECE = 24


class Pieces(Sequence[tuple[int, int]]):
    """The stored pieces of a sparse file, (offset in the file, length), without holding them."""

    __slots__ = ("_words",)

    def __init__(self, words: memoryview) -> None:
        """Read *words*: three 64-bit integers for each piece."""
        self._words = words

    def __len__(self) -> int:
        return len(self._words) // 3

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, int]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, int] | list[tuple[int, int]]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if index < 0:
            raise IndexError(index)
        words = self._words
        return words[3 * index], words[3 * index + 1]

    def position(self, index: int) -> int:
        """How many stored bytes come before piece *index*."""
        return int(self._words[3 * index + 2])

    def first(self, offset: int) -> int:
        """The index of the first piece that ends after *offset*; len(self) if none does."""
        index = bisect_right(range(len(self)), offset, key=lambda each: self._words[3 * each]) - 1
        if index < 0:
            return 0
        start, length = self[index]
        return index if offset < start + length else index + 1


def pack(xattrs: Mapping[bytes, bytes] | None, pieces: Iterable[tuple[int, int]] | None) -> bytes:
    """Return the bytes of a rare thing; a multiple of 8."""
    words = array("Q")
    position = 0
    for offset, length in pieces or ():
        words.extend((offset, length, position))
        position += length
    attributes: bytes = msgpack.packb(dict(xattrs or {}))
    body = _HEAD.pack(len(words) // 3, len(attributes)) + words.tobytes() + attributes
    return body + bytes(-len(body) % 8)


def pieces(view: memoryview) -> Pieces:
    """The pieces in a rare thing; raises InvalidTable."""
    count, _ = _head(view)
    return Pieces(view[_HEAD.size : _HEAD.size + count * _PIECE].cast("Q"))


def xattrs(view: memoryview) -> dict[bytes, bytes]:
    """The extended attributes in a rare thing; raises InvalidTable."""
    count, length = _head(view)
    start = _HEAD.size + count * _PIECE
    try:
        found = msgpack.unpackb(view[start : start + length])
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise InvalidTable(f"extended attributes in a table were altered: {error}") from None
    if not isinstance(found, dict):
        raise InvalidTable("extended attributes in a table were altered")
    if not all(type(text) is bytes for pair in found.items() for text in pair):
        raise InvalidTable("extended attributes in a table were altered")
    return found


def _head(view: memoryview) -> tuple[int, int]:
    if len(view) < _HEAD.size:
        raise InvalidTable("a rare thing of a table was cut")
    count, length = _HEAD.unpack_from(view)
    if _HEAD.size + count * _PIECE + length > len(view):
        raise InvalidTable("a rare thing of a table was cut")
    return count, length
