"""Decoding a gzip blob from a seek point on, forwards.

Only what zlib and isal offer to Python is used: a decompression object with a dictionary, fed with
empty blocks, the header of the block if the point lies within one, and then the blob.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol, cast

from isal import isal_zlib

from rossfs.image.deflate import GZIP, RAW
from rossfs.image.emptyblocks import FILLINGS
from rossfs.image.seekpoints import SeekPoint

INPUT = 64 << 10
"""Bytes of the blob that are read at once."""

Read = Callable[[int, int], bytes]
"""read(offset, length) of the blob; fewer bytes only at its end.  The bytes are verified."""


class Decoder(Protocol):
    """A decompression object of zlib or isal."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Module(NamedTuple):
    """A module that decompresses."""

    decompressobj: Callable[..., Decoder]
    error: type[Exception]


ISAL = Module(isal_zlib.decompressobj, cast("type[Exception]", isal_zlib.error))
"""The fast one."""

ZLIB = Module(zlib.decompressobj, zlib.error)
"""The one that reads whatever a pass has read."""


class GzipDecoder:
    """The uncompressed bytes from a seek point on, from its member into the next ones."""

    def __init__(self, point: SeekPoint, read: Read, module: Module) -> None:
        """EOFError if the blob ends before the point."""
        self._read = read
        self._module = module
        self._position, shift = point.bit >> 3, point.bit & 7
        bits, length = FILLINGS[(shift - point.header_bits) % 8]
        bits |= int.from_bytes(point.header, "little") << length
        length += point.header_bits
        self._input = self._more()
        if shift:
            if not self._input:
                raise EOFError
            first = self._input[0] >> shift << shift
            bits |= first << (length - shift)
            self._input = self._input[1:]
            length += 8 - shift
        self._input = bits.to_bytes(length // 8, "little") + self._input
        self._decoder = module.decompressobj(RAW, zdict=point.window)
        self._trailer = 8  # bytes after the deflate data that are passed over (RFC 1952, 2.3.1)

    def decode(self, length: int) -> bytes:
        """Return the next *length* bytes.

        The module's error if the data is damaged, EOFError if it ends.
        """
        parts = []
        while length:
            # A decoder that has used up its input may still owe output.
            more = self._input or self._more()
            data = self._decoder.decompress(more, length)
            if self._decoder.eof:
                self._input = self._decoder.unused_data
                self._next_member()
            else:
                self._input = self._decoder.unconsumed_tail
                if not (more or data):
                    raise EOFError
            if data:
                parts.append(data)
                length -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _next_member(self) -> None:
        while len(self._input) < self._trailer:
            more = self._more()
            if not more:
                raise EOFError
            self._input += more
        self._input = self._input[self._trailer :]
        self._trailer = 0
        self._decoder = self._module.decompressobj(GZIP)

    def _more(self) -> bytes:
        data = self._read(self._position, INPUT)
        self._position += len(data)
        return data
