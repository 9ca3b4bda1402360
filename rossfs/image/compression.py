"""How a layer is compressed, as its first bytes tell; media types are not believed.

A `StreamPass` turns the bytes of a blob into those of the tar, once, from beginning to end.
`decoded` is what those have in common whose library has decompressors in the form of `bz2`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Protocol

HEAD = 6
"""Bytes from the beginning of a blob that `detect` needs; a shorter blob has only these."""

PIECE = 1 << 20
"""The most bytes of the tar that a pass gives in one piece."""


Read = Callable[[int, int], bytes]
"""read(offset, length) of a blob; fewer bytes only at its end.  The bytes are verified."""

ReadyRead = Callable[[int, int], bytes | None]
"""The same, or None if that would have to wait."""


class Compression(Enum):
    """What a blob of a layer is."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"


_SKIPPABLE = b"\x2a\x4d\x18"


def detect(head: bytes) -> Compression:
    """The compression of a blob that begins with *head*; PLAIN for what is not known, or empty.

    RFC 1952 (2.3.1), RFC 8878 (3.1.1, and 3.1.2 for a skippable frame), bzip2's and xz's own magic.
    """
    if head.startswith(b"\x1f\x8b"):
        return Compression.GZIP
    if head.startswith(b"\x28\xb5\x2f\xfd") or (
        head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F
    ):
        return Compression.ZSTD
    if head.startswith(b"BZh") and head[3:4].isdigit() and head[3:4] != b"0":
        return Compression.BZIP2
    if head.startswith(b"\xfd7zXZ\x00"):
        return Compression.XZ
    return Compression.PLAIN


class StreamPass(Protocol):
    """One way through a compressed blob.

    Memory is bounded whatever the blob holds: output is made as it is asked for.
    """

    def feed(self, data: bytes | memoryview, /) -> Iterator[bytes | memoryview]:
        """Take the next bytes of the blob, and give those of the tar that follow from them, in
        pieces of at most 1 MiB, none empty.

        The iterator must be used up before the next call; a piece is valid until the next one is
        asked for.  InvalidLayer for damaged data.
        """
        ...

    def finish(self) -> None:
        """The blob has ended.  InvalidLayer if it may not end here."""
        ...


class Decompressor(Protocol):
    """An object of bz2, lzma or zstd that decompresses one stream."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes: ...


def decoded(decompressor: Decompressor, data: bytes | memoryview) -> Iterator[bytes]:
    """Give what *data*, the next bytes of a stream, decompresses to, in pieces of at most 1 MiB.

    Ends when more input is needed, or the stream has ended.  The library's errors pass.
    """
    while True:
        piece = decompressor.decompress(data, PIECE)
        if piece:
            yield piece
        if decompressor.eof or decompressor.needs_input:
            return
        data = b""
