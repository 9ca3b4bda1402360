"""The bytes of a layer that can only be decoded from its beginning, at any offset.

The first read opens the table of frames in the cache, or makes it: the whole layer is decoded once
and written again in small frames, while other readers wait.  A copy that somebody cut or altered is
noticed before a byte of it is given, and made again.  Where the cache has no room for a copy, one
decoder serves all: slow, and right.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

from rossfs.errors import CacheFull, InvalidLayer, InvalidTable
from rossfs.image.cache import Cache
from rossfs.image.compression import StreamPass
from rossfs.image.framecopy import write_copy
from rossfs.image.frameddata import FramedData
from rossfs.image.frametable import FrameTable
from rossfs.image.livedata import LiveData
from rossfs.image.packed import Packed
from rossfs.image.spans import SpanCache
from rossfs.image.tables import FRAMES, table_name
from rossfs.image.zstdpass import ZstdPass

_FULL = 60.0
"""Seconds after which a cache that had no room is asked again."""

_log = logging.getLogger("rossfs.image")


class CopiedData:
    """The tar of one layer of zstd, bzip2 or xz.  Thread safe.

    *length* is that of the tar.
    """

    def __init__(self, packed: Packed, length: int, cache: Cache, spans: SpanCache) -> None:
        self.length = length
        """Bytes of the tar."""
        self._packed = packed
        self._digest = packed.digest
        self._cache = cache
        self._spans = spans
        self._name = table_name(packed.digest, FRAMES)
        self._lock = threading.Lock()
        self._framed: FramedData | None = None
        # Held with the lock, but for reading.
        self._live: LiveData | None = None
        self._full_until = 0.0

    def read(self, offset: int, length: int) -> bytes:
        """Return a range of the tar; fewer bytes than *length* only at its end.

        InvalidLayer, and what reading the blob raises; InvalidTable if copies go bad as soon as
        they are made.
        """
        data = self._opened()
        if isinstance(data, FramedData):
            try:
                return data.read(offset, length)
            except InvalidTable as error:
                self._give_up(data, error)
            data = self._opened()
        return data.read(offset, length)

    def read_ready(self, offset: int, length: int) -> bytes | None:
        """As `read`, if it is decoded already; else None."""
        framed = self._framed
        return None if framed is None else framed.read_ready(offset, length)

    def prepare(self) -> None:
        """Make the copy now, if the cache has none; errors as `read`."""
        self._opened()

    @property
    def busy(self) -> bool:
        """Whether the copy is being opened or made."""
        return self._lock.locked()

    def close(self) -> None:
        """Let go of the copy and of what is decoded, if it is not being made; the next read opens
        it again."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            framed, self._framed, self._live = self._framed, None, None
        finally:
            self._lock.release()
        if framed is not None:
            framed.close()

    def use(self, fd: int) -> None:
        """Read through the table in *fd*, which is taken over: one that has just been made.

        InvalidTable.
        """
        with self._lock:
            self._framed = self._framed_by(fd)

    def _opened(self) -> FramedData | LiveData:
        framed = self._framed
        if framed is not None:
            return framed
        with self._lock:
            if self._framed is None:
                if self._live is not None and time.monotonic() < self._full_until:
                    return self._live
                self._framed = self._found() or self._made()
            if self._framed is None:
                self._full_until = time.monotonic() + _FULL
                self._live = self._live or LiveData(self._packed)
                return self._live
            self._live = None
            return self._framed

    def _found(self) -> FramedData | None:
        """What the cache has."""
        fd = self._cache.open(self._name)
        if fd is None:
            return None
        try:
            return self._framed_by(fd)
        except InvalidTable as error:
            self._tell(error)
            self._cache.discard(self._name)
            return None

    def _made(self) -> FramedData | None:
        """A copy that was made now; None if there is no room for it."""
        try:
            file = self._cache.create(limit=self._cache.limit, spill=False)
        except CacheFull:
            return None
        decoder = self._packed.decoder()
        with file:
            try:
                write_copy(self._tar(decoder), file, self._digest)
                if isinstance(decoder, ZstdPass) and decoder.notes.entered:
                    # It needs no copy: a small table does.
                    file.seek(0)
                    file.truncate()
                    decoder.notes.write(file, self._digest)
            except CacheFull:
                return None
            return self._framed_by(self._cache.publish(file, self._name))

    def _tar(self, decoder: StreamPass) -> Iterator[bytes | memoryview]:
        length = 0
        for piece in self._packed.unpack(decoder):
            length += len(piece)
            yield piece
        if length != self.length:
            raise InvalidLayer(
                f"layer {self._digest} decompresses to {length} bytes instead of {self.length}"
            )

    def _framed_by(self, fd: int) -> FramedData:
        table = FrameTable(fd, self._digest)
        if table.length != self.length:
            raise InvalidTable(
                f"the table of frames of {self._digest} is for {table.length} bytes"
                f" instead of {self.length}"
            )
        return FramedData(table, self._packed.read, self._spans)

    def _give_up(self, framed: FramedData, error: InvalidTable) -> None:
        """What *framed* reads is damaged: the next reader makes it again."""
        with self._lock:
            if self._framed is framed:
                self._tell(error)
                self._framed = None
                self._cache.discard(self._name)
        framed.close()

    def _tell(self, error: InvalidTable) -> None:
        _log.warning("%s; it is made again", error)
