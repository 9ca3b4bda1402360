"""One way through zstd data: several frames, skippable ones among them, as `zstd -dc` reads it.

Where frames begin is noted on the way: data in many small frames can be read anywhere without a
copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rossfs.errors import InvalidLayer
from rossfs.image.compression import decoded
from rossfs.image.framenotes import FrameNotes
from rossfs.image.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
from rossfs.image.zstdframes import WINDOW_LOG, FrameScanner

_OPTIONS: Mapping[int, int] = {DecompressionParameter.window_log_max: WINDOW_LOG}


class ZstdPass:
    """A `StreamPass` of zstd."""

    def __init__(self) -> None:
        self.notes = FrameNotes()
        """Where the data can be entered, as far as it was fed."""
        self._scanner = FrameScanner()
        self._decoder: ZstdDecompressor | None = None
        self._length = 0  # of the tar so far

    def feed(self, data: bytes | memoryview, /) -> Iterator[bytes | memoryview]:
        for part in self._scanner.feed(data):
            if part is not None:
                yield from self._decode(part)
                continue
            if self._decoder is not None and not self._decoder.eof:
                raise InvalidLayer(f"damaged zstd frame before byte {self._scanner.offset}")
            self._decoder = None
            self.notes.end(self._scanner.offset, self._length)

    def finish(self) -> None:
        scanner = self._scanner
        if not scanner.whole or not scanner.offset:
            raise InvalidLayer(f"truncated: the zstd data ends after {scanner.offset} bytes")
        self.notes.finish(scanner.offset, self._length)

    def _decode(self, part: bytes | memoryview) -> Iterator[bytes]:
        decoder = self._decoder
        if decoder is None:
            decoder = self._decoder = ZstdDecompressor(options=_OPTIONS)
        try:
            for piece in decoded(decoder, part):
                self._length += len(piece)
                yield piece
        except (ZstdError, EOFError) as error:
            raise InvalidLayer(
                f"damaged zstd frame before byte {self._scanner.offset}: {error}"
            ) from error
