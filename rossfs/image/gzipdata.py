"""The uncompressed bytes of a gzip blob, at any place.

A span goes from one seek point to the next.  Its decoder is kept and goes on from where it is, so
that a reader who goes forwards has each byte decoded once; a read at a random place decodes from
the point before it to its own end, and hardly further.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence

from rossfs.errors import InvalidTable
from rossfs.image.compression import Read, ReadyRead
from rossfs.image.gzipdecoder import ISAL, ZLIB, GzipDecoder, Module
from rossfs.image.seekpoints import SeekPoints
from rossfs.image.spans import Shelf, SpanCache

PIECE = 256 << 10
"""Bytes that are decoded at once, at most."""

LEAST = 32 << 10
"""Bytes that are decoded at once, at least, or many small reads would make many small pieces."""

READY = 128 << 10
"""Bytes that are decoded without calling it a wait: less than the two turns that a thread takes."""

AHEAD = 64 << 10
"""Bytes that are decoded then, at least: who goes on reading a span usually reads the next file."""

KEPT = 2 << 20
"""Bytes that a span keeps; where points lie further apart, going back in one decodes it again."""

_DECODER = 128 << 10  # what a decoder takes, with its input


class _Span:
    """What is decoded of one span: its last bytes, up to KEPT of them and what a reader needs."""

    __slots__ = ("_chunks", "_end", "_starts", "decoder", "lock", "module")

    def __init__(self, start: int) -> None:
        self.lock = threading.Lock()
        # The rest with the lock held: the pieces, where each begins, and where the next will.
        self._chunks: list[bytes] = []
        self._starts: list[int] = []
        self._end = start
        self.decoder: GzipDecoder | None = None
        self.module = 0

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return self._end - self.begin + (_DECODER if self.decoder is not None else 0)

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
        self.decoder = None

    def held(self, offset: int, end: int) -> bytes | None:
        """Return the bytes of a range that is not empty, if they are all held."""
        if offset < self.begin or end > self._end:
            return None
        first = bisect_right(self._starts, offset) - 1
        begin = self._starts[first]
        chunk = self._chunks[first]
        if end <= begin + len(chunk):
            return chunk[offset - begin : end - begin]
        last = bisect_right(self._starts, end - 1) - 1
        parts = [chunk[offset - begin :], *self._chunks[first + 1 : last]]
        return b"".join([*parts, self._chunks[last][: end - self._starts[last]]])


class GzipData:
    """The uncompressed bytes of one blob; any number of threads may read at once."""

    def __init__(
        self,
        points: SeekPoints,
        read: Read,
        cache: SpanCache,
        modules: Sequence[Module] = (ISAL, ZLIB),
        ready: ReadyRead | None = None,
    ) -> None:
        """*modules*: what decodes, and what is tried if that cannot.  *ready*: as *read*, for
        `read_ready`, which only gives what is decoded already where this is None."""
        self._points = points
        self._read = read
        self._modules = modules
        self._ready = ready
        self._spans: Shelf[_Span] = cache.shelf()
        # The decoder that came to the end of a span, and its module, by the number of the next
        # span: who goes on there needs no new one.  At most one, and taken by a single pop.
        self._handed: dict[int, tuple[GzipDecoder, int]] = {}
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
        """Return the same as `read` if little needs to be decoded and nothing waited for, else
        None."""
        end = min(offset + length, self.length)
        parts = []
        while offset < end:
            number = self._points.find(offset)
            stop = min(end, self._points.end(number))
            span = self._spans.get(number)
            if span is None and number in self._handed:
                span = self._claim(number)
            if span is None or not span.lock.acquire(blocking=False):
                return None
            try:
                part = span.held(offset, stop)
                if part is None and self._goes_on(span, number, offset, stop):
                    part = span.held(offset, stop)
            finally:
                span.lock.release()
            if part is None:
                return None
            parts.append(part)
            offset = stop
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _goes_on(self, span: _Span, number: int, offset: int, end: int) -> bool:
        """Decode a little more of a span, if that is enough and can be done at once.  Requires its
        lock."""
        ready = self._ready
        wanted = end - span.end
        if ready is None or offset < span.begin or wanted > READY:
            return False
        if span.decoder is None:
            self._take_over(span, number)
        decoder = span.decoder
        if decoder is None:
            return False
        last = self._points.end(number)
        try:
            data = decoder.decode_ready(min(max(wanted, AHEAD), last - span.end), ready)
        except BaseException as error:
            span.restart(self._points.start(number))
            if isinstance(error, self._modules[span.module].error):
                return False  # `read` finds out what is wrong
            raise
        if data:
            span.add(data)
        if span.end == last:
            self._hand_over(span, number)
        self._spans.grew(number, span, span.size)
        return end <= span.end

    def close(self) -> None:
        """Forget what is decoded.  The seek points are closed when nobody refers to them."""
        self._spans.clear()
        self._handed.clear()

    def _claim(self, number: int) -> _Span:
        start = self._points.start(number)
        return self._spans.claim(number, lambda: _Span(start), 0)

    def _read_span(self, number: int, offset: int, end: int) -> bytes:
        span = self._claim(number)
        with span.lock:
            if offset < span.begin:
                span.restart(self._points.start(number))
            while (data := span.held(offset, end)) is None:
                self._decode(span, number, end)
            self._spans.grew(number, span, span.size)
        return data

    def _decode(self, span: _Span, number: int, end: int) -> None:
        """Decode some more of a span, towards *end*.  Requires its lock."""
        if span.decoder is None:
            self._take_over(span, number)
        module = self._modules[span.module]
        left = self._points.end(number) - span.end
        try:
            if span.decoder is None:
                span.decoder = GzipDecoder(self._points.point(number), self._read, module)
            span.add(span.decoder.decode(min(max(end - span.end, LEAST), PIECE, left)))
        except BaseException as error:
            # The decoder may have gone on, and what it gave is lost.
            span.restart(self._points.start(number))
            if isinstance(error, module.error):
                span.module = (span.module + 1) % len(self._modules)
                if span.module:
                    return
            elif not isinstance(error, EOFError):
                raise
            raise InvalidTable(
                f"seek point {number} does not fit the blob {self._points.digest}"
            ) from error
        if span.end == self._points.end(number):
            self._hand_over(span, number)

    def _hand_over(self, span: _Span, number: int) -> None:
        """A span is decoded to its end: leave its decoder to the next one."""
        decoder, span.decoder = span.decoder, None
        if decoder is not None:
            self._handed.clear()
            self._handed[number + 1] = decoder, span.module

    def _take_over(self, span: _Span, number: int) -> None:
        """Go on with the decoder of the span before, if it is still there and nothing is decoded
        yet.  Requires the lock of *span*."""
        if span.end == self._points.start(number):
            handed = self._handed.pop(number, None)
            if handed is not None:
                span.decoder, span.module = handed
