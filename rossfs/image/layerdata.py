"""The uncompressed bytes of one layer at any offset, whatever its compression.

What a compression needs for that is opened, and made where it is missing, when the first byte is
asked for: the blob and at most one table.  Both may be closed at any time (store/descriptors.py),
and are opened again as they were at first.  A table that turns out to be wrong is made again, once;
wrong bytes are never given.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from rossfs.errors import IndexingFailed, InvalidTable
from rossfs.image.blobdata import BlobBytes
from rossfs.image.cache import Cache
from rossfs.image.compression import HEAD, Compression, detect
from rossfs.image.copieddata import CopiedData
from rossfs.image.gzipdata import GzipData
from rossfs.image.leases import Leases
from rossfs.image.packed import Packed
from rossfs.image.plaindata import PlainData
from rossfs.image.seekpoints import SeekPoints
from rossfs.image.spans import SpanCache
from rossfs.image.tables import FRAMES, KINDS, POINTS, TOC, Tables
from rossfs.oci.digest import Digest
from rossfs.store.contents import Contents
from rossfs.store.descriptors import Descriptors

_log = logging.getLogger("rossfs.image")


class RandomAccess(Protocol):
    """Decoded data at any offset.  Thread safe."""

    def read(self, offset: int, length: int) -> bytes:
        """Return a range; fewer bytes than *length* only at the end."""

    def read_ready(self, offset: int, length: int) -> bytes | memoryview | None:
        """As `read`, if it needs no wait and little decoding; else None."""

    def close(self) -> None:
        """Forget what is decoded.  Does not wait; who is reading goes on."""


class LayerData:
    """The tar of one layer.  Thread safe."""

    __slots__ = (
        "__weakref__", "_blob", "_cache", "_contents", "_data", "_files", "_length", "_lock",
        "_make", "_spans", "_tables", "leases", "prepared", "used",
    )  # fmt: skip

    def __init__(
        self,
        contents: Contents,
        tables: Tables,
        length: int,
        cache: Cache,
        spans: SpanCache,
        make: Callable[[Digest], dict[str, int]],
        files: Descriptors,
    ) -> None:
        """*length*: bytes of the tar.  *make* makes all tables of a layer anew.  *files*: what is
        open here is entered there."""
        self._contents = contents
        self._blob: BlobBytes | None = None
        self._tables = tables
        self._length = length
        self._cache = cache
        self._spans = spans
        self._make = make
        self._files = files
        self._data: RandomAccess | None = None
        self.prepared = False
        """Whether a read waits for the disk and for decoding only, not for what `prepare` does."""
        self.used = 0
        """See Keeper.used."""
        self.leases = Leases()
        """Of those who have files of the layer open."""
        self._lock = threading.Lock()
        if tables.pending:
            files.opened(self)

    def prepare(self) -> None:
        """Do what the first read needs and may take long: hashing the blob, making tables and a
        copy.  Errors as `read`."""
        data = self._opened()
        if isinstance(data, CopiedData):
            data.prepare()
        with self._lock:
            self.prepared = self._data is data

    def read(self, offset: int, length: int) -> bytes:
        """Return a range; fewer bytes than *length* only at the end.

        BlobNotFound, Damaged, InvalidLayer, CacheFull.
        """
        data = self._opened()
        self.used = self._files.now
        try:
            return data.read(offset, length)
        except InvalidTable as error:
            self._give_up(data, error)
        return self._opened().read(offset, length)

    def read_ready(self, offset: int, length: int) -> bytes | memoryview | None:
        """As `read`, if it needs no wait for the disk and little decoding; else None."""
        data = self._data
        if data is None:
            return None
        self.used = self._files.now
        try:
            return data.read_ready(offset, length)
        except InvalidTable:
            return None

    def close(self) -> None:
        """Let go of the blob, the table and what is decoded; the next read opens them again."""
        with self._lock:
            self._drop()

    def held(self) -> bool:
        """See Keeper.held."""
        return self.leases.held()

    def let_go(self) -> bool:
        """See Keeper.let_go.  What has no name any more stays open for the files that are open."""
        if not self._lock.acquire(blocking=False):
            return False  # it is being opened
        try:
            data, blob = self._data, self._blob
            if isinstance(data, CopiedData) and data.busy:
                return False
            if blob is not None and blob.nameless and self.leases.held():
                return False
            self._drop()
        finally:
            self._lock.release()
        return True

    def _drop(self) -> None:
        """Forget what is open: it is closed when nobody reads it any more.  Requires the lock."""
        data, self._data, self._blob = self._data, None, None
        self.prepared = False
        self._tables.drop(*KINDS)
        if data is not None:
            data.close()

    def _opened(self) -> RandomAccess:
        data = self._data
        if data is None:
            with self._lock:
                data = self._data
                if data is None:
                    data = self._data = self._open()
            self._files.opened(self)
        return data

    def _open(self) -> RandomAccess:
        """Requires the lock."""
        # Another one each time: the last may still be read.
        blob = self._blob = BlobBytes(self._contents, self._tables.digest)
        compression = detect(blob.read(0, HEAD))
        if compression is Compression.PLAIN:
            return PlainData(blob.read, blob.read_ready)
        if compression is Compression.GZIP:
            return GzipData(self._points(), blob.read, self._spans, ready=blob.read_ready)
        digest, tables = blob.digest, self._tables
        packed = Packed(digest, compression, blob.read, blob.size)
        data = CopiedData(packed, self._length, self._cache, self._spans)
        fd = tables.fresh(FRAMES)
        if fd is not None:
            # What is wrong with it, if anything, is found out again and told by who opens it.
            with suppress(InvalidTable):
                data.use(fd)
        return data

    def _points(self) -> SeekPoints:
        fd = self._tables.open(POINTS)
        if fd is not None:
            try:
                return self._points_in(fd)
            except InvalidTable as error:
                self._discard(error)
        digest = self._tables.digest
        self._tables.put(self._make(digest))
        self._tables.drop(TOC)
        fd = self._tables.open(POINTS)
        if fd is None:
            raise IndexingFailed(f"the seek points of {digest} are gone at once")
        return self._points_in(fd)

    def _points_in(self, fd: int) -> SeekPoints:
        points = SeekPoints(fd)
        digest = self._tables.digest
        if (points.digest, points.length) != (digest, self._length):
            points.close()
            raise InvalidTable(f"the seek points of {digest} are those of another layer")
        return points

    def _discard(self, error: InvalidTable) -> None:
        _log.warning("%s; it is made again", error)
        self._tables.discard(POINTS)

    def _give_up(self, data: RandomAccess, error: InvalidTable) -> None:
        """What *data* reads by is wrong: the next reader makes it again."""
        with self._lock:
            if self._data is data:
                self._discard(error)
                self._data = None
                self.prepared = False
