"""The uncompressed bytes of a gzip blob, at any place.

A span goes from one seek point to the next.  Its decoder is kept and goes on from where it is, so
that a reader who goes forwards has each byte decoded once; a read at a random place decodes from
the point before it to its own end, and no further.

isal and zlib cannot begin within a byte.  So the decoder is first given empty deflate blocks, of as
many bits as put the first real one at the right place in its byte (RFC 1951: an empty block with
fixed codes has 10 bits, and one with codes of its own can have 91), and for a point within a block
then the header of that block.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, cast

from isal import isal_zlib

from rossfs.errors import InvalidTable
from rossfs.image.deflate import GZIP, RAW
from rossfs.image.seekpoints import SeekPoint, SeekPoints
from rossfs.image.spans import Shelf, SpanCache

INPUT = 64 << 10
"""Bytes of the blob that are read at once."""

PIECE = 256 << 10
"""Bytes that are decoded at once, at most."""

KEPT = 2 << 20
"""Bytes that a span keeps; where points lie further apart, going back in one decodes it again."""

_DECODER = 80 << 10  # what a decoder takes, with its input

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


def _fixed(count: int) -> tuple[int, int]:
    """*count* empty blocks with fixed codes: not final, type 1, seven zeros for the end."""
    return sum(0b010 << (10 * number) for number in range(count)), 10 * count


def _dynamic() -> tuple[int, int]:
    """An empty block with codes of its own, that has an odd number of bits (RFC 1951, 3.2.7)."""
    bits = length = 0

    def put(value: int, width: int) -> None:
        nonlocal bits, length
        bits |= value << length
        length += width

    put(0, 1)  # not the last block
    put(2, 2)
    put(0, 5)  # 257 codes for literals and lengths
    put(0, 5)  # one for distances
    put(18 - 4, 4)  # lengths of the codes for code lengths, in the order that the RFC has for them
    for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1):
        put(1 if symbol in (1, 18) else 0, 3)
    # Of these two, 1 is written as 0, and 18 as 1: a length of one bit, and zeros in a row.
    put(0, 1)  # literal 0 has a code of one bit
    put(1, 1)
    put(138 - 11, 7)
    put(1, 1)
    put(117 - 11, 7)
    put(0, 1)  # so has the end of the block,
    put(0, 1)  # and the one distance, which is not used
    put(1, 1)  # the end
    return bits, length


def _alignments() -> list[tuple[int, int]]:
    """For each number of bits in 0-7: empty blocks whose length has this remainder by 8."""
    found: dict[int, tuple[int, int]] = {}
    odd, odd_length = _dynamic()
    for count in range(4):
        bits, length = _fixed(count)
        found[length % 8] = bits, length
        found[(length + odd_length) % 8] = odd | bits << odd_length, length + odd_length
    return [found[remainder] for remainder in range(8)]


ALIGNMENTS = _alignments()


class _Forwards:
    """The uncompressed bytes from a seek point on, from its member into the next ones."""

    def __init__(self, point: SeekPoint, read: Read, module: Module) -> None:
        self._read = read
        self._module = module
        self._position, shift = point.bit >> 3, point.bit & 7
        bits, length = ALIGNMENTS[(shift - point.header_bits) % 8]
        bits |= int.from_bytes(point.header, "little") << length
        length += point.header_bits
        self._input = self._more()
        if shift and self._input:
            first = self._input[0] >> shift << shift
            bits |= first << (length - shift)
            self._input = self._input[1:]
            length += 8 - shift
        self._input = bits.to_bytes(length // 8, "little") + self._input
        self._decoder = module.decompressobj(RAW, zdict=point.window)
        self._trailer = 8  # bytes after the deflate data that are passed over (RFC 1952, 2.3.1)

    def decode(self, limit: int) -> bytes:
        """Return the next bytes, at least one and at most *limit*.

        The module's error if the data is damaged, EOFError if it ends.
        """
        while True:
            last = not self._input
            if last:
                self._input = self._more()
                last = not self._input
            data = self._decoder.decompress(self._input, limit)
            if self._decoder.eof:
                self._input = self._decoder.unused_data
                self._next_member()
            else:
                self._input = self._decoder.unconsumed_tail
            if data:
                return data
            if last:
                raise EOFError

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


class _Span:
    """What is decoded of one span: its last bytes, up to KEPT of them and what a reader needs."""

    __slots__ = ("_chunks", "_end", "_starts", "forwards", "lock", "module")

    def __init__(self, start: int) -> None:
        self.lock = threading.Lock()
        # The rest with the lock held: the pieces, where each begins, and where the next will.
        self._chunks: list[bytes] = []
        self._starts: list[int] = []
        self._end = start
        self.forwards: _Forwards | None = None
        self.module = 0

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return self._end - self.begin + (_DECODER if self.forwards is not None else 0)

    @property
    def begin(self) -> int:
        """The offset of the first byte that is held."""
        return self._starts[0] if self._starts else self._end

    @property
    def end(self) -> int:
        """The offset behind the last byte that is held: the decoder, if any, goes on here."""
        return self._end

    def add(self, chunk: bytes) -> None:
        """Hold what was decoded behind the rest, and forget what is too much."""
        self._chunks.append(chunk)
        self._starts.append(self._end)
        self._end += len(chunk)
        while self._end - self._starts[0] > KEPT:
            del self._chunks[0], self._starts[0]

    def restart(self, start: int) -> None:
        """Hold nothing, to decode from *start* again."""
        self._chunks.clear()
        self._starts.clear()
        self._end = start
        self.forwards = None

    def held(self, offset: int, end: int) -> bytes | None:
        """Return the bytes of a range that is not empty, if they are all held."""
        if offset < self.begin or end > self._end:
            return None
        first = bisect_right(self._starts, offset) - 1
        begin = self._starts[first]
        chunk = self._chunks[first]
        if end > begin + len(chunk):
            chunk = b"".join(self._chunks[first : bisect_right(self._starts, end - 1)])
        return chunk[offset - begin : end - begin]


class GzipData:
    """The uncompressed bytes of one blob; any number of threads may read at once."""

    def __init__(
        self,
        points: SeekPoints,
        read: Read,
        cache: SpanCache,
        modules: Sequence[Module] = (ISAL, ZLIB),
    ) -> None:
        """*modules*: what decodes, and what is tried if that cannot."""
        self._points = points
        self._read = read
        self._modules = modules
        self._spans: Shelf[_Span] = cache.shelf()
        self.length = points.length
        """Bytes of the uncompressed data."""

    def read(self, offset: int, length: int) -> bytes:
        """Return *length* bytes from *offset* on, fewer only at the end of the data.

        InvalidTable if the seek points are altered, or are those of another blob; and what the
        blob's `read` raises.
        """
        end = min(offset + length, self.length)
        parts = []
        while offset < end:
            number = self._points.find(offset)
            stop = min(end, self._points.end(number))
            # A piece at a time, so that what a long span forgets has been taken before.
            stop = min(stop, offset + PIECE)
            parts.append(self._read_span(number, offset, stop))
            offset = stop
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_ready(self, offset: int, length: int) -> bytes | None:
        """Return the same as `read` if nothing needs to be decoded or waited for, else None."""
        end = min(offset + length, self.length)
        parts = []
        while offset < end:
            number = self._points.find(offset)
            stop = min(end, self._points.end(number))
            span = self._spans.get(number)
            if span is None or not span.lock.acquire(blocking=False):
                return None
            try:
                part = span.held(offset, stop)
            finally:
                span.lock.release()
            if part is None:
                return None
            parts.append(part)
            offset = stop
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Forget what is decoded, and close the seek points."""
        self._spans.clear()
        self._points.close()

    def _read_span(self, number: int, offset: int, end: int) -> bytes:
        start = self._points.start(number)
        span = self._spans.claim(number, lambda: _Span(start), 0)
        with span.lock:
            if offset < span.begin:
                span.restart(start)
            while (data := span.held(offset, end)) is None:
                self._decode(span, number, end)
            if span.end == self._points.end(number):
                span.forwards = None
            self._spans.grew(number, span, span.size)
        return data

    def _decode(self, span: _Span, number: int, end: int) -> None:
        """Decode some more of a span, towards *end*.  Requires its lock."""
        module = self._modules[span.module]
        try:
            if span.forwards is None:
                # A span that was decoded to its end has no decoder; nothing is behind that.
                span.forwards = _Forwards(self._points.point(number), self._read, module)
            span.add(span.forwards.decode(min(end - span.end, PIECE)))
        except EOFError as error:
            raise self._misfit(number) from error
        except module.error as error:
            span.restart(self._points.start(number))
            span.module += 1
            if span.module == len(self._modules):
                span.module = 0
                raise self._misfit(number) from error

    def _misfit(self, number: int) -> InvalidTable:
        return InvalidTable(f"seek point {number} does not fit the blob {self._points.digest}")
