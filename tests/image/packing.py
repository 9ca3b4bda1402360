"""Compressed data as the tools of each format write it: zstd(1), bzip2(1), xz(1), gzip(1)."""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterable

from rossfs.image.compression import StreamPass


def run(*command: str, data: bytes = b"") -> bytes:
    """What a program makes of *data*; it must succeed."""
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=True).stdout


def zstd(data: bytes, *options: str) -> bytes:
    """A frame with a checksum, and without the size of its content, as of a pipe."""
    return run("zstd", "-q", "-c", *options, data=data)


def bzip2(data: bytes) -> bytes:
    return run("bzip2", "-c", data=data)


def xz(data: bytes) -> bytes:
    return run("xz", "-c", "-0", data=data)


def skippable(data: bytes, number: int = 0) -> bytes:
    """A skippable frame (RFC 8878, 3.1.2)."""
    return struct.pack("<II", 0x184D2A50 + number, len(data)) + data


def zstd_chunked(parts: Iterable[bytes]) -> bytes:
    """As containers/storage writes zstd:chunked: a frame for each part, the table of contents in a
    skippable frame, and a footer of 64 bytes in another one."""
    blob = b"".join(zstd(part) for part in parts)
    contents = zstd(b'{"version":1,"entries":[]}')
    position = len(blob) + 8
    blob += skippable(contents)
    footer = struct.pack("<7Q8s", position, len(contents), 26, 1, 0, 0, 0, b"GNUlInUx")
    return blob + skippable(footer)


def text(length: int, seed: int = 1) -> bytes:
    """Bytes that compress about as well as files do, different everywhere."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(2, 9)).hex().encode() for _ in range(500)]
    pieces = []
    missing = length
    while missing > 0:
        piece = b" ".join(rng.choices(words, k=200)) + rng.randbytes(200)
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)[:length]


def unpacked(decoder: StreamPass, blob: bytes, chunk: int = 1 << 16) -> bytes:
    """All that *decoder* makes of *blob*, given in chunks."""
    pieces = []
    for begin in range(0, len(blob), chunk):
        pieces += [bytes(piece) for piece in decoder.feed(blob[begin : begin + chunk])]
    decoder.finish()
    assert all(0 < len(piece) <= 1 << 20 for piece in pieces)
    return b"".join(pieces)
