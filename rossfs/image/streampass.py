"""One way through a layer of any compression but gzip; bzip2 and xz occur in old images.

These two allow several streams one after another, as `bzip2 -dc` and `xz -dc` read them.  What is
neither a stream nor, for xz, its padding is refused: it could be a damaged stream.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator, Mapping

from rossfs.errors import InvalidLayer
from rossfs.image.compression import PIECE, Compression, StreamPass, decoded
from rossfs.image.zstdpass import ZstdPass

XZ_MEMORY = 160 << 20
"""Bytes that decoding xz may use: `xz -9` needs 65 MiB, a dictionary of 128 MiB a little more than
its size."""

_SLICE = 32 << 10
"""What follows a stream is handed over again for the next one: short streams in large slices would
be copied many times."""


def stream_pass(compression: Compression) -> StreamPass:
    """A new pass for *compression*, which is not GZIP: that is `GzipPass`."""
    return _PASSES[compression]()


class PlainPass:
    """A `StreamPass` of a tar as it is."""

    def feed(self, data: bytes | memoryview, /) -> Iterator[bytes | memoryview]:
        view = memoryview(data)
        for begin in range(0, len(view), PIECE):
            yield view[begin : begin + PIECE]

    def finish(self) -> None:
        """A tar may end anywhere, for all that is known here."""


class Bzip2Pass:
    """A `StreamPass` of bzip2."""

    def __init__(self) -> None:
        self._decoder: bz2.BZ2Decompressor | None = None
        self._offset = 0

    def feed(self, data: bytes | memoryview, /) -> Iterator[bytes | memoryview]:
        view = memoryview(data)
        for begin in range(0, len(view), _SLICE):
            left: bytes | memoryview = view[begin : begin + _SLICE]
            self._offset += len(left)
            while left:
                decoder = self._decoder = self._decoder or bz2.BZ2Decompressor()
                try:
                    yield from decoded(decoder, left)
                except (OSError, ValueError) as error:
                    raise InvalidLayer(f"damaged bzip2 data before byte {self._offset}") from error
                left = decoder.unused_data if decoder.eof else b""
                if decoder.eof:
                    self._decoder = None

    def finish(self) -> None:
        if self._decoder is not None or not self._offset:
            raise InvalidLayer(f"truncated: the bzip2 data ends after {self._offset} bytes")


class XzPass:
    """A `StreamPass` of xz."""

    def __init__(self) -> None:
        self._decoder: lzma.LZMADecompressor | None = None
        self._offset = 0
        self._padding = 0  # bytes of zeros since the last stream

    def feed(self, data: bytes | memoryview, /) -> Iterator[bytes | memoryview]:
        view = memoryview(data)
        for begin in range(0, len(view), _SLICE):
            left = bytes(view[begin : begin + _SLICE])
            self._offset += len(left)
            if self._decoder is None:
                left = self._without_padding(left)
            while left:
                decoder = self._decoder = self._decoder or self._next_stream()
                try:
                    yield from decoded(decoder, left)
                except lzma.LZMAError as error:
                    raise InvalidLayer(
                        f"damaged xz data before byte {self._offset}: {error}"
                    ) from error
                left = b""
                if decoder.eof:
                    self._decoder = None
                    self._padding = 0
                    left = self._without_padding(decoder.unused_data)

    def _next_stream(self) -> lzma.LZMADecompressor:
        if self._padding % 4:
            raise InvalidLayer(f"damaged xz padding before byte {self._offset}")
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)

    def _without_padding(self, data: bytes) -> bytes:
        """Pass over the zeros between two streams (xz file format, section 2.2)."""
        left = data.lstrip(b"\0")
        self._padding += len(data) - len(left)
        return left

    def finish(self) -> None:
        if self._decoder is not None or not self._offset or self._padding % 4:
            raise InvalidLayer(f"truncated: the xz data ends after {self._offset} bytes")


_PASSES: Mapping[Compression, Callable[[], StreamPass]] = {
    Compression.PLAIN: PlainPass,
    Compression.ZSTD: ZstdPass,
    Compression.BZIP2: Bzip2Pass,
    Compression.XZ: XzPass,
}
