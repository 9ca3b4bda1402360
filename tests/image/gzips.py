"""Gzip blobs of every kind, passes over them, and their data through seek points."""

from __future__ import annotations

import io
import os
import random
import tempfile
import zlib
from collections.abc import Iterable, Sequence

from rossfs.image.compression import Read
from rossfs.image.deflate import Library
from rossfs.image.gzipdata import GzipData
from rossfs.image.gzipdecoder import ISAL, ZLIB, Module
from rossfs.image.gzippass import GzipPass
from rossfs.image.seekpoints import SeekPointBuilder, SeekPoints
from rossfs.image.spans import SpanCache
from rossfs.oci.digest import Digest

DIGEST = Digest.sha256("0f" * 32)

KINDS = ("random", "text", "zeros", "runs")

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""The header of a member without name or time (RFC 1952, 2.3)."""


def content(kind: str, size: int, seed: int = 0) -> bytes:
    """Bytes that compress not at all, like text, to almost nothing, or here and there."""
    chance = random.Random(f"{kind} {seed}")
    if kind == "random":
        return chance.randbytes(size)
    if kind == "zeros":
        return bytes(size)
    words = [chance.randbytes(chance.randint(1, 9)) for _ in range(60)]
    made = bytearray()
    while len(made) < size:
        if kind == "text":
            made += b" ".join(chance.choices(words, k=50))
        elif chance.random() < 0.4:
            made += chance.randbytes(chance.randint(1, 3000))
        else:
            made += chance.randbytes(1) * chance.randint(1, 5000)
    return bytes(made[:size])


def member(
    data: bytes,
    level: int = 6,
    *,
    strategy: int = zlib.Z_DEFAULT_STRATEGY,
    memory: int = 8,
    flushes: Iterable[tuple[int, int]] = (),
) -> bytes:
    """One gzip member; *flushes*: after how many bytes, and which of zlib's flushes."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31, memory, strategy)
    made, done = [], 0
    for position, mode in sorted(flushes):
        made += [packer.compress(data[done:position]), packer.flush(mode)]
        done = max(done, position)
    return b"".join([*made, packer.compress(data[done:]), packer.flush()])


def framed(deflated: bytes, size: int, checksum: int) -> bytes:
    """A member of these deflate data, which stand for *size* bytes with this CRC-32."""
    trailer = checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
    return HEADER + deflated + trailer


class Bits:
    """Deflate data, written bit by bit (RFC 1951, 3.1.1)."""

    def __init__(self) -> None:
        self._value = 0
        self.length = 0

    def put(self, value: int, width: int) -> None:
        self._value |= value << self.length
        self.length += width

    def put_all(self, text: str) -> None:
        """Bits as they stand in the stream, the first one first; blanks are passed over."""
        for bit in text.replace(" ", ""):
            self.put(int(bit), 1)

    def to_bytes(self) -> bytes:
        return self._value.to_bytes((self.length + 7) // 8, "little")


def zeros_in_one_block(size: int) -> bytes:
    """A member that is one single block, in which two bits stand for 258 zeros each."""
    count, rest = divmod(size - 1, 258)
    head = Bits()
    head.put_all("1 01")  # the last block, with codes of its own
    head.put(286 - 257, 5)
    head.put(0, 5)
    head.put(18 - 4, 4)
    for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1):
        # 18 (zeros in a row) is written 0, 1 and 2 (lengths of codes) 10 and 11.
        head.put({18: 1, 1: 2, 2: 2}.get(symbol, 0), 3)
    zeros, one, two = "0", "10", "11"
    head.put_all(two)  # the literal 0 has two bits: 10
    for run in (138, 117):
        head.put_all(zeros)
        head.put(run - 11, 7)
    head.put_all(two)  # so has the end of the block: 11
    head.put_all(zeros)
    head.put(28 - 11, 7)
    head.put_all(one)  # a match of 258 bytes has one bit: 0
    head.put_all(one)  # and so has the distance 1
    head.put_all("10")
    # All the matches are zero bits, and whole bytes of them need not be put one by one.
    filling = -head.length % 8
    head.put(0, filling)
    whole, left = divmod(2 * count - filling, 8)
    tail = Bits()
    tail.put(0, left)
    for _ in range(rest):
        tail.put_all("10")
    tail.put_all("11")
    return framed(head.to_bytes() + bytes(whole) + tail.to_bytes(), size, crc_of_zeros(size))


def crc_of_zeros(size: int) -> int:
    checksum, block = 0, bytes(1 << 20)
    for _ in range(size >> 20):
        checksum = zlib.crc32(block, checksum)
    return zlib.crc32(bytes(size & ((1 << 20) - 1)), checksum)


def passed(
    blob: bytes, interval: int = 1 << 20, *, library: Library | None = None, chunk: int = 1 << 20
) -> tuple[bytes, SeekPointBuilder]:
    """What a pass makes of *blob*: its uncompressed bytes, and the points."""
    over = GzipPass(interval, library)
    made = [
        piece
        for position in range(0, len(blob), chunk)
        for piece in over.feed(blob[position : position + chunk])
    ]
    over.finish()
    return b"".join(made), over.points()


def written(points: SeekPointBuilder, digest: Digest = DIGEST) -> bytes:
    """The file of *points*."""
    file = io.BytesIO()
    points.write(file, digest=digest)
    return file.getvalue()


def opened(file: bytes) -> SeekPoints:
    """The seek points in a file of these bytes."""
    with tempfile.TemporaryFile() as made:
        made.write(file)
        made.flush()
        return SeekPoints.from_fd(os.dup(made.fileno()))


def reader(blob: bytes) -> Read:
    """The function that gives ranges of *blob*."""
    return lambda offset, length: blob[offset : offset + length]


def data_of(
    blob: bytes,
    interval: int = 1 << 20,
    *,
    library: Library | None = None,
    cache: SpanCache | None = None,
    modules: Sequence[Module] = (ISAL, ZLIB),
) -> GzipData:
    """*blob*, to be read at any place."""
    points = opened(written(passed(blob, interval, library=library)[1]))
    return GzipData(points, reader(blob), cache or SpanCache(), modules)
