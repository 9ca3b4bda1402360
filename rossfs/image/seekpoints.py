"""Where decompression of a gzip blob may begin, and the file in cache/ that says so.

A seek point is a place in the blob, to the bit, where a deflate block or a code of one begins, and
what a decoder must know there: the window, which is the uncompressed bytes before it that can be
referred to (at most 32 KiB, RFC 1951, 2), and within a block its header, which has the codes.

The file, all numbers little-endian:

    header      136 bytes   magic, version, number of points, length of the uncompressed data, size
                            of the blob, where the index begins, the blob's digest, BLAKE3 of the
                            header before it and of the index
    data                    of each point: header of its block, then its window in one zstd frame
    index       56 bytes    of each point: bit, offset, where its data is, how long it and the
                            window are, bits of the block's header, BLAKE3 of the fields before it
                            and of its data

Opening checks the index, and using a point the point: an altered file is InvalidTable and never
gives wrong bytes.  It is read, not mapped, because touching a map of a file that was cut kills the
process.  It is derived: a crash leaves at worst a temporary file.
"""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from blake3 import blake3

from rossfs.errors import InvalidDigest, InvalidTable
from rossfs.image.zstd import ZstdCompressor, ZstdDecompressor, ZstdError
from rossfs.oci.digest import Digest

MAGIC = b"rossgzip"
VERSION = 1

WINDOW = 32768

INTERVAL = 512 << 10
"""Bytes of uncompressed data between two points, about.  A read at random decodes half of it, in
half a millisecond; the points take some 6 % of the blob.
"""

BUDGET = 64 << 20
"""Bytes that the points of one blob may take: a builder that has more keeps every second one.

That is enough for points INTERVAL apart in some 2 GiB of files as images have them.
"""

_HEADER = struct.Struct("<8sIIQQQ8s64s")
_CHECKSUM = 16
_HEADER_SIZE = _HEADER.size + _CHECKSUM
_FIELDS = struct.Struct("<QQQIIHH")
_RECORD_SIZE = _FIELDS.size + _CHECKSUM
_DATA_LIMIT = WINDOW + 4096  # of a point's data; a window that does not compress grows a little
_LEVEL = 1  # of zstd; 3 makes the file 3 % smaller and takes half as long again
_OBJECT = 200  # what the Python objects of a point take beside its data


class SeekPoint(NamedTuple):
    """A place in a gzip blob where decompression can begin."""

    bit: int
    """Where in the blob, in bits; the bits of a byte count from the lowest (RFC 1951, 3.1.1)."""
    offset: int
    """Where in the uncompressed data, in bytes."""
    window: bytes
    """The uncompressed bytes before it that it can refer to."""
    header_bits: int = 0
    """How many bits the header of the block has in which it lies; 0: a block begins there."""
    header: bytes = b""
    """These bits, from the lowest of the first byte on."""


class _Packed(NamedTuple):
    """A point as it is kept while more are found."""

    bit: int
    offset: int
    window_length: int
    header_bits: int
    data: bytes


class SeekPointBuilder:
    """The points of one blob, from the first to the last, about *interval* bytes apart."""

    def __init__(self, interval: int = INTERVAL) -> None:
        self.interval = interval
        """Bytes of uncompressed data between two points; doubled whenever points are dropped."""
        self.length = 0
        """Bytes of the uncompressed data."""
        self.size = 0
        """Bytes of the blob."""
        self._points: list[_Packed] = []
        self._held = 0
        self._packer = ZstdCompressor(_LEVEL)

    def add(self, point: SeekPoint) -> None:
        """Add a point, which lies behind all others."""
        data = point.header
        if point.window:
            # A compressor that has made one frame makes the next one faster than another would.
            data += self._packer.compress(point.window, ZstdCompressor.FLUSH_FRAME)
        packed = _Packed(point.bit, point.offset, len(point.window), point.header_bits, data)
        self._points.append(packed)
        self._held += len(data) + _OBJECT
        if self._held > BUDGET:
            self._points = self._points[::2]
            self._held = sum(len(kept.data) + _OBJECT for kept in self._points)
            self.interval *= 2

    def __len__(self) -> int:
        return len(self._points)

    def write(self, file: BinaryIO, *, digest: Digest) -> None:
        """Write the whole file, from its beginning to its end, for the blob *digest*."""
        position = _HEADER_SIZE
        index = bytearray()
        for point in self._points:
            fields = _FIELDS.pack(
                point.bit,
                point.offset,
                position,
                len(point.data),
                point.window_length,
                point.header_bits,
                0,
            )
            index += fields + blake3(fields + point.data).digest(_CHECKSUM)
            position += len(point.data)
        header = _HEADER.pack(
            MAGIC,
            VERSION,
            len(self._points),
            self.length,
            self.size,
            position,
            digest.algorithm.encode(),
            digest.raw,
        )
        checksum = blake3(header).update(index).digest(_CHECKSUM)
        file.write(header + checksum)
        for point in self._points:
            file.write(point.data)
        file.write(index)


class SeekPoints:
    """The points in a file; any number of threads may use it at once."""

    def __init__(self, fd: int) -> None:
        """Take over the descriptor *fd*; InvalidTable, and *fd* is closed, if it is cut or altered,
        or of another version."""
        self._fd = fd
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        self.close()

    @classmethod
    def open(cls, path: str) -> SeekPoints:
        """Open the file *path*; InvalidTable as above, OSError if there is none."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))

    @classmethod
    def from_fd(cls, fd: int) -> SeekPoints:
        """Read the file behind *fd*, which is closed with the points, or when this fails."""
        return cls(fd)

    def _open(self) -> None:
        header = self._pread(_HEADER_SIZE, 0)
        if len(header) != _HEADER_SIZE:
            raise InvalidTable(f"seek points are cut: the file has {len(header)} bytes")
        magic, version, count, length, size, index_at, algorithm, raw = _HEADER.unpack_from(header)
        if (magic, version) != (MAGIC, VERSION):
            raise InvalidTable("seek points of another version, or no seek points")
        file_size = os.fstat(self._fd).st_size
        if index_at + count * _RECORD_SIZE != file_size or not count:
            raise InvalidTable(f"seek points are cut or altered: the file has {file_size} bytes")
        index = self._pread(count * _RECORD_SIZE, index_at)
        checksum = blake3(header[: _HEADER.size]).update(index).digest(_CHECKSUM)
        if checksum != header[_HEADER.size :]:
            raise InvalidTable("seek points are altered: wrong checksum")
        self.length: int = length
        self.size: int = size
        self._index_at: int = index_at
        self._offsets = array("Q", _offsets(index))
        try:
            name = algorithm.rstrip(b"\0").decode()
            self.digest = Digest.from_raw(name, raw[: 64 if name == "sha512" else 32])
        except (InvalidDigest, UnicodeDecodeError) as error:
            raise InvalidTable("seek points of a blob whose digest is none") from error

    def __len__(self) -> int:
        """How many points there are; at least one."""
        return len(self._offsets)

    def find(self, offset: int) -> int:
        """Return the number of the last point that does not lie behind *offset*."""
        return max(bisect_right(self._offsets, offset) - 1, 0)

    def start(self, number: int) -> int:
        """Return the offset of a point in the uncompressed data."""
        return self._offsets[number]

    def end(self, number: int) -> int:
        """Return the offset of the point after it, or the length of the uncompressed data."""
        return self._offsets[number + 1] if number + 1 < len(self._offsets) else self.length

    def point(self, number: int) -> SeekPoint:
        """Read a point; InvalidTable if it was altered since the file was written."""
        record = self._pread(_RECORD_SIZE, self._index_at + number * _RECORD_SIZE)
        if len(record) == _RECORD_SIZE:
            bit, offset, at, stored, window_length, header_bits, _ = _FIELDS.unpack_from(record)
            data = self._pread(stored, at) if stored <= _DATA_LIMIT else b""
            checksum = blake3(record[: _FIELDS.size] + data).digest(_CHECKSUM)
            if checksum == record[_FIELDS.size :] and offset == self._offsets[number]:
                header = data[: (header_bits + 7) // 8]
                window = _unpack(data[len(header) :], window_length)
                if len(window) == window_length:
                    return SeekPoint(bit, offset, window, header_bits, header)
        raise InvalidTable(f"seek point {number} of {self.digest} is altered")

    def close(self) -> None:
        """Close the file; nobody may be reading a point."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _pread(self, length: int, offset: int) -> bytes:
        try:
            return os.pread(self._fd, length, offset)
        except (OSError, OverflowError) as error:
            raise InvalidTable(f"seek points cannot be read: {error}") from error


def _offsets(index: bytes) -> Iterator[int]:
    """Give the offset of each point in the uncompressed data."""
    for position in range(0, len(index), _RECORD_SIZE):
        yield _FIELDS.unpack_from(index, position)[1]


def _unpack(data: bytes, length: int) -> bytes:
    """Return a window of *length* bytes, or other bytes if *data* is none."""
    if not data:
        return b""
    try:
        return ZstdDecompressor().decompress(data, length + 1)
    except ZstdError:
        return b""
