"""The bytes of a layer at any offset where there is room for no copy: decoded from the beginning.

Reading forwards decodes every byte once; each step backwards, but for the last 2 MiB, begins again.
Memory is that of one decoder and two pieces.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from rossfs.image.packed import Packed


class LiveData:
    """One decoder, kept where it is.  Thread safe: one reader at a time."""

    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        self._lock = threading.Lock()
        # Held with the lock: the decoder, the last pieces that it gave, and where they end.
        self._pieces: deque[bytes] = deque(maxlen=2)
        self._rest: Iterator[bytes | memoryview] | None = None
        self._end = 0

    def read(self, offset: int, length: int) -> bytes:
        """Return a range of the tar; fewer bytes than *length* only at its end.

        InvalidLayer, and what reading the blob raises.
        """
        with self._lock:
            try:
                return self._between(offset, offset + length)
            except BaseException:
                self._forget()
                raise

    def _between(self, offset: int, end: int) -> bytes:
        if self._rest is None or offset < self._end - sum(map(len, self._pieces)):
            self._forget()
            self._rest = self._packed.unpack(self._packed.decoder())
        parts = []
        position = self._end - sum(map(len, self._pieces))
        for piece in self._pieces:
            parts.append(_cut(piece, position, offset, end))
            position += len(piece)
        while self._end < end:
            piece = bytes(next(self._rest, b""))
            if not piece:
                break
            self._pieces.append(piece)
            if part := _cut(piece, self._end, offset, end):
                parts.append(part)
            self._end += len(piece)
        return b"".join(parts)

    def _forget(self) -> None:
        self._rest = None
        self._pieces.clear()
        self._end = 0


def _cut(piece: bytes, position: int, offset: int, end: int) -> bytes:
    """What of *piece*, which begins at *position*, lies from *offset* to *end*."""
    return piece[max(0, offset - position) : max(0, end - position)]
