"""The bytes of a layer's tar at any offset, through a table of frames."""

from __future__ import annotations

from rossfs.errors import InvalidLayer, InvalidTable
from rossfs.image.compression import Read
from rossfs.image.frametable import FrameTable, Kind
from rossfs.image.spans import Shelf, SpanCache
from rossfs.image.zstdpass import ZstdPass


class FramedData:
    """Decodes one span at a time.  Thread safe.

    *read* reads the blob, whose bytes it knows to be right; it is used if the frames are there.
    """

    def __init__(self, table: FrameTable, read: Read, spans: SpanCache) -> None:
        self.length = table.length
        """Bytes of the tar."""
        self._table = table
        self._read = read
        self._spans: Shelf[bytes] = spans.shelf()

    def read(self, offset: int, length: int) -> bytes:
        """Return a range of the tar; fewer bytes than *length* only at its end.

        InvalidTable if the table, or the copy in it, is not what was written.
        """
        table = self._table
        end = min(offset + length, self.length)
        if offset >= end:
            return b""
        number = table.find(offset)
        start = table.start(number)
        span = self._span(number)
        if end - start <= len(span):
            return span[offset - start : end - start]
        parts = [span[offset - start :]]
        position = start + len(span)
        while position < end:
            number += 1
            span = self._span(number)
            parts.append(span[: end - position])
            position += len(span)
        return b"".join(parts)

    def read_ready(self, offset: int, length: int) -> bytes | None:
        """As `read`, if it is in one span that is decoded already; else None."""
        end = min(offset + length, self.length)
        if offset >= end:
            return b""
        number = self._table.find(offset)
        span = self._spans.get(number)
        start = self._table.start(number)
        if span is None or end - start > len(span):
            return None
        return span[offset - start : end - start]

    def close(self) -> None:
        """Forget what is decoded."""
        self._spans.clear()

    def _span(self, number: int) -> bytes:
        """A span's part of the tar, never empty."""
        found = self._spans.get(number)
        if found is None:
            found = self._decode(number)
            self._spans.put(number, found, len(found))
        return found

    def _decode(self, number: int) -> bytes:
        table = self._table
        size = table.start(number + 1) - table.start(number)
        data = table.read(number) if table.kind is Kind.COPY else self._read(*table.extent(number))
        decoder = ZstdPass()
        pieces = []
        missing = size
        try:
            for piece in decoder.feed(data):
                missing -= len(piece)
                if missing < 0:
                    break
                pieces.append(piece)
            else:
                decoder.finish()
        except InvalidLayer as error:
            raise self._wrong(number) from error
        if missing or not size:
            raise self._wrong(number)
        return b"".join(pieces)

    def _wrong(self, number: int) -> InvalidTable:
        return InvalidTable(f"the table of frames of {self._table.digest} is wrong at {number}")
