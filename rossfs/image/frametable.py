"""The file `<hex>.frames`: where a layer that is not gzip can be read in the middle.

    header    168 bytes, `_HEADER`: magic, version, kind, spans, lengths, digest, check
    frames    only in a copy: the tar in zstd frames of 256 KiB, each by itself
    index     for each span and for the end: position of the data (u64), position in the tar (u64);
              then, only in a copy, 16 bytes of BLAKE3 for the data of each span

Little-endian.  A table of kind BLOB says where the frames are in the blob itself; one of kind COPY
holds the data.  The check is BLAKE3 of the header before it and of the index, so that with the
hash of each span no altered byte goes unnoticed.  The index is read into memory when the table is
opened, at most 16 bytes for 64 KiB of the tar: nothing is mapped, so a file that somebody cuts is
an error and no signal.
"""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect_right
from enum import IntEnum
from typing import BinaryIO

from blake3 import blake3

from rossfs.errors import InvalidTable
from rossfs.oci.digest import Digest

CHECK = 16
"""Bytes of BLAKE3 for the data of a span."""

_MAGIC = b"rossfrms"
_VERSION = 1
_HEADER = struct.Struct("<8sII4Q16s64s32s")
_CHECKED = _HEADER.size - 32
_INDEX_LIMIT = 256 << 20


class Kind(IntEnum):
    """Where the data of the spans is."""

    BLOB = 0
    COPY = 1


class FrameTable:
    """An opened table.  Thread safe; its file is closed when nobody refers to it."""

    __slots__ = ("_checks", "_fd", "_positions", "_starts", "digest", "kind", "length")

    def __init__(self, fd: int, digest: Digest) -> None:
        """Read the table in *fd*, which is taken over, for the layer *digest*.

        InvalidTable if it is cut or altered, of another version, or of another layer.
        """
        self._fd = fd
        self.digest = digest
        name = f"the table of frames of {digest}"
        header = _read(fd, 0, _HEADER.size, name)
        magic, version, kind, count, length, index, end, algorithm, raw, check = _HEADER.unpack(
            header
        )
        if magic != _MAGIC or version != _VERSION or kind not in (Kind.BLOB, Kind.COPY):
            raise InvalidTable(f"{name} is none, or one of another version")
        self.kind = Kind(kind)
        size = 16 * (count + 1) + (CHECK * count if kind == Kind.COPY else 0)
        if size > _INDEX_LIMIT or index + size != end:
            raise InvalidTable(f"{name} is damaged")
        data = _read(fd, index, size, name)
        if blake3(header[:_CHECKED]).update(data).digest() != check:
            raise InvalidTable(f"{name} is damaged")
        if (algorithm.rstrip(b"\0"), raw) != (
            digest.algorithm.encode(),
            digest.raw.ljust(64, b"\0"),
        ):
            raise InvalidTable(f"{name} is that of another layer")
        self.length: int = length
        """Bytes of the tar."""
        pairs = array("Q", data[: 16 * (count + 1)])
        self._positions = pairs[0::2]
        self._starts = pairs[1::2]
        self._checks = data[16 * (count + 1) :]

    def __del__(self) -> None:
        os.close(self._fd)

    def __len__(self) -> int:
        """How many spans there are."""
        return len(self._starts) - 1

    def find(self, offset: int) -> int:
        """The number of the span that holds the byte *offset* of the tar."""
        return bisect_right(self._starts, offset) - 1

    def start(self, number: int) -> int:
        """Where the span begins in the tar; for the number behind the last one, its length."""
        return self._starts[number]

    def extent(self, number: int) -> tuple[int, int]:
        """Position and length of the span's data, in the blob or in this file."""
        begin = self._positions[number]
        return begin, self._positions[number + 1] - begin

    def read(self, number: int) -> bytes:
        """The data of a span of a COPY; InvalidTable unless it is what was written."""
        name = f"the copy of {self.digest}"
        data = _read(self._fd, *self.extent(number), name)
        if blake3(data).digest(CHECK) != self._checks[CHECK * number : CHECK * (number + 1)]:
            raise InvalidTable(f"{name} in the cache is damaged at span {number}")
        return data


class FrameTableWriter:
    """Writes a table to *file*, which is seekable, from its beginning."""

    def __init__(self, file: BinaryIO, digest: Digest, kind: Kind) -> None:
        self._file = file
        self._digest = digest
        self._kind = kind
        self._pairs = array("Q", (0, 0) if kind is Kind.BLOB else (_HEADER.size, 0))
        self._checks = bytearray()
        file.write(bytes(_HEADER.size))

    def add_data(self, data: bytes, check: bytes, length: int) -> None:
        """Append the data of a COPY's next span, which holds *length* bytes of the tar."""
        self._file.write(data)
        self._checks += check
        self.add(self._pairs[-2] + len(data), self._pairs[-1] + length)

    def add(self, position: int, start: int) -> None:
        """The next span's data ends at *position*, and its part of the tar before *start*."""
        self._pairs.extend((position, start))

    def finish(self) -> None:
        """Write the index and the header; *file* is a whole table then."""
        data = self._pairs.tobytes() + self._checks
        index = self._file.tell()
        self._file.write(data)
        header = _HEADER.pack(
            _MAGIC,
            _VERSION,
            self._kind,
            len(self._pairs) // 2 - 1,
            self._pairs[-1],
            index,
            index + len(data),
            self._digest.algorithm.encode(),
            self._digest.raw,
            bytes(32),
        )
        check = blake3(header[:_CHECKED]).update(data).digest()
        self._file.seek(0)
        self._file.write(header[:_CHECKED] + check)
        self._file.seek(0, os.SEEK_END)


def _read(fd: int, offset: int, size: int, name: str) -> bytes:
    """Exactly *size* bytes of the file; InvalidTable if it is shorter or cannot be read."""
    try:
        data = os.pread(fd, size, offset)
        while len(data) < size and (more := os.pread(fd, size - len(data), offset + len(data))):
            data += more
    except (OSError, OverflowError) as error:
        raise InvalidTable(f"{name} in the cache cannot be read: {error}") from error
    if len(data) < size:
        raise InvalidTable(f"{name} in the cache is cut off")
    return data
