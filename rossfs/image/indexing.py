"""The one pass over a layer: all that is derived from its blob, in one reading of it.

That is the digest, the diff ID, the table of contents, and what random access needs: seek points of
gzip, frames of zstd.  Hashing runs in threads beside decompression and parsing.  Memory is bounded
by the number of entries, whatever the stream decompresses to.

Nothing is visible before `Indexed.publish`; a crash leaves temporary files of the cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple, Self

from rossfs.errors import Damaged, IndexingFailed, InvalidLayer
from rossfs.image.cache import Cache
from rossfs.image.compression import HEAD, Compression, StreamPass, detect
from rossfs.image.gzippass import GzipPass
from rossfs.image.streampass import stream_pass
from rossfs.image.tables import FRAMES, POINTS, TOC, table_name
from rossfs.image.tarscan import TarScanner
from rossfs.image.temporary import Temporary
from rossfs.image.tocbuilder import TocBuilder
from rossfs.image.zstdpass import ZstdPass
from rossfs.oci.digest import Digest
from rossfs.store.hashing import StreamHasher

CHUNK = 256 << 10
"""Bytes of the blob that are read at once: between two such reads something may be told."""

DIFF_ID = "sha256"
"""The algorithm of the diff IDs in tables: that of all configs that are known."""


class Allowance(NamedTuple):
    """How many bytes a layer may decompress to: *floor*, and *factor* for each compressed byte."""

    floor: int
    factor: int

    def bytes_of(self, compressed: int) -> int:
        """What so many compressed bytes may become."""
        return self.floor + self.factor * compressed


class Outgrown(Exception):
    """Raised by `Pass.feed` when the layer decompresses to more than it is allowed to."""


class Indexed(NamedTuple):
    """What a pass found out.  To be published or closed."""

    digest: Digest
    diff_id: Digest
    length: int
    """Bytes of the uncompressed layer."""
    tables: dict[str, Temporary]

    def publish(self, cache: Cache) -> dict[str, int]:
        """Put the tables into the cache; return a descriptor of each, by kind."""
        published: dict[str, int] = {}
        try:
            for kind, table in self.tables.items():
                published[kind] = cache.publish(table, table_name(self.digest, kind))
        except BaseException:
            self.close()
            for fd in published.values():
                os.close(fd)
            raise
        return published

    def close(self) -> None:
        """Give the tables up, if they were not published."""
        for table in self.tables.values():
            table.close()


class Pass:
    """One pass over one blob.  To be used by one thread at a time, and closed."""

    def __init__(
        self,
        cache: Cache,
        algorithm: str = "sha256",
        *,
        hashing: bool = True,
        allowed: Allowance | None = None,
    ) -> None:
        """*algorithm*: that of the blob's digest.  Without *hashing* the caller knows the digest of
        what is fed, or finds it out himself."""
        self.taken = 0
        """Bytes of the blob so far."""
        self.length = 0
        """Bytes that these decompressed to."""
        self.failure: InvalidLayer | None = None
        """Why this is no layer, once that is known."""
        self._cache = cache
        self._allowed = allowed
        self._algorithm = algorithm
        self._blob = StreamHasher(algorithm) if hashing else None
        self._plain: StreamHasher | None = None
        self._head = b""
        self._decoder: StreamPass | None = None
        self._builder = TocBuilder()
        self._scanner = TarScanner(self._builder.add, self._builder.refuse)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the blob.  Outgrown.

        What is wrong with the layer is kept for `finish`: only the whole blob's digest tells
        whether the blob is damaged or was never a layer.
        """
        self.taken += len(data)
        if self._blob is not None:
            self._blob.update(data)
        if self.failure is not None:
            return
        if self._decoder is None:
            self._head += data
            if len(self._head) < HEAD:
                return
            data, self._head = self._head, b""
            self._decoder = self._decoder_of(detect(data))
        self._decode(data)

    def finish(self, digest: Digest) -> Indexed:
        """End the blob, which must be that of *digest*, and make the tables.

        Damaged if the digest is another one; InvalidLayer; CacheFull.
        """
        if self._decoder is None and self.failure is None:
            self._decoder = self._decoder_of(detect(self._head))
            self._decode(self._head)
        if self._blob is not None and (actual := self._blob.digest()) != digest:
            raise Damaged(f"{digest} is damaged: its {self.taken} bytes hash to {actual}")
        try:
            if self.failure is not None:
                raise self.failure
            assert self._decoder is not None
            self._decoder.finish()
            self._scanner.finish()
        except InvalidLayer as error:
            raise InvalidLayer(f"layer {digest}: {error}") from error
        # A plain tar is its own uncompressed form.
        diff_id = digest if self._plain is None else self._plain.digest()
        return self._write(digest, diff_id)

    def close(self) -> None:
        """End the threads."""
        for hasher in (self._blob, self._plain):
            if hasher is not None:
                hasher.close()

    def _decoder_of(self, compression: Compression) -> StreamPass:
        if compression is not Compression.PLAIN or self._algorithm != DIFF_ID:
            self._plain = StreamHasher(DIFF_ID)
        if compression is Compression.GZIP:
            return GzipPass()
        return stream_pass(compression)

    def _decode(self, data: bytes) -> None:
        assert self._decoder is not None
        try:
            for piece in self._decoder.feed(data):
                self.length += len(piece)
                if self._allowed is not None and self.length > self._allowed.bytes_of(self.taken):
                    raise Outgrown
                if self._plain is not None:
                    # The decoder may use its buffer again before the other thread is done with it.
                    self._plain.update(piece if isinstance(piece, bytes) else bytes(piece))
                self._scanner.feed(piece)
        except InvalidLayer as error:
            self.failure = error

    def _write(self, digest: Digest, diff_id: Digest) -> Indexed:
        made = Indexed(digest, diff_id, self.length, {})
        try:
            table = made.tables[TOC] = self._cache.create()
            self._builder.write(table, digest=digest, diff_id=diff_id, length=self.length)
            if isinstance(self._decoder, GzipPass):
                table = made.tables[POINTS] = self._cache.create()
                self._decoder.points().write(table, digest=digest)
            elif isinstance(self._decoder, ZstdPass) and self._decoder.notes.entered:
                table = made.tables[FRAMES] = self._cache.create()
                self._decoder.notes.write(table, digest)
        except BaseException:
            made.close()
            raise
        return made


def index_file(
    fd: int,
    digest: Digest,
    cache: Cache,
    *,
    allowed: Allowance | None = None,
    told: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Make the tables of the blob that *fd* is open on and put them into *cache*; return
    descriptors of them, by kind.

    *told* hears how many bytes of the blob were read so far.  Damaged if the blob has another
    digest; IndexingFailed if it cannot be read; InvalidLayer; CacheFull; Outgrown.
    """
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    with Pass(cache, digest.algorithm, allowed=allowed) as one:
        try:
            while data := os.pread(fd, CHUNK, one.taken):
                one.feed(data)
                if told is not None:
                    told(one.taken)
        except OSError as error:
            raise IndexingFailed(f"{digest} cannot be read: {error.strerror}") from error
        return one.finish(digest).publish(cache)
