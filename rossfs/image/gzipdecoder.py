"""Decoding a gzip blob from a seek point on, forwards.

Only what zlib and isal offer to Python is used: a decompression object with a dictionary, fed with
empty blocks, the header of the block if the point lies within one, and then the blob.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol, cast

from isal import isal_zlib

from rossfs.image.compression import Read, ReadyRead
from rossfs.image.deflate import RAW
from rossfs.image.emptyblocks import FILLINGS
from rossfs.image.seekpoints import SeekPoint

INPUT = 64 << 10
"""Bytes of the blob that are read at once."""

_HEADER_CRC, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16  # what a member's header has (RFC 1952, 2.3.1)


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
    """The uncompressed bytes from a seek point on, from its member into the next ones.

    Checksums are not looked at: the pass did that, and the blob is verified.  Only deflate data are
    left to the module, for isal can lose its way in the header of a member that comes in pieces.
    """

    def __init__(self, point: SeekPoint, read: Read, module: Module) -> None:
        """EOFError if the blob ends before the point."""
        self._read = read
        self._module = module
        self._position, shift = point.bit >> 3, point.bit & 7
        self._input = b""
        bits, length = FILLINGS[(shift - point.header_bits) % 8]
        bits |= int.from_bytes(point.header, "little") << length
        length += point.header_bits
        if shift:
            first = self._take(1)[0] >> shift << shift
            bits |= first << (length - shift)
            length += 8 - shift
        self._input = bits.to_bytes(length // 8, "little") + self._input
        self._decoder = module.decompressobj(RAW, zdict=point.window)

    def decode(self, length: int) -> bytes:
        """Return the next *length* bytes.

        The module's error if the data is damaged, EOFError if it ends.
        """
        parts = []
        while length:
            if self._decoder.eof:
                self._next_member()
            # A decoder that has used up its input may still owe output.
            more = self._input or self._more()
            data = self._decoder.decompress(more, length)
            if self._decoder.eof:
                self._input = self._decoder.unused_data
            else:
                self._input = self._decoder.unconsumed_tail
                if not (more or data):
                    raise EOFError
            if data:
                parts.append(data)
                length -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def decode_ready(self, length: int, ready: ReadyRead) -> bytes:
        """As `decode`, but only as far as *ready* has input, and not into the next member."""
        parts = []
        decoder = self._decoder
        while length and not decoder.eof:
            if not self._input:
                data = ready(self._position, INPUT)
                if not data:
                    break
                self._position += len(data)
                self._input = data
            data = decoder.decompress(self._input, length)
            self._input = decoder.unconsumed_tail or decoder.unused_data
            parts.append(data)
            length -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _next_member(self) -> None:
        """Pass over the trailer of a member and the header of the next (RFC 1952, 2.3)."""
        self._take(8)
        flags = self._take(10)[3]
        if flags & _EXTRA:
            self._take(int.from_bytes(self._take(2), "little"))
        for text in (_NAME, _COMMENT):
            if flags & text:
                while (end := self._input.find(0)) < 0:
                    self._input = self._some()
                self._input = self._input[end + 1 :]
        if flags & _HEADER_CRC:
            self._take(2)
        self._decoder = self._module.decompressobj(RAW)

    def _take(self, length: int) -> bytes:
        """Return the next *length* bytes of the input; EOFError if there are fewer."""
        while len(self._input) < length:
            self._input += self._some()
        taken, self._input = self._input[:length], self._input[length:]
        return taken

    def _some(self) -> bytes:
        """Return what comes next in the blob; EOFError if that has ended."""
        data = self._more()
        if not data:
            raise EOFError
        return data

    def _more(self) -> bytes:
        data = self._read(self._position, INPUT)
        self._position += len(data)
        return data
