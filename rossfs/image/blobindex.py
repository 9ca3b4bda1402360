"""Making the tables of a stored blob: small ones here, large ones in a process of their own.

A blob that is large, or becomes large when it is decompressed, would keep this process from its
other work, and leave it with memory that it does not need again.

The blob is hashed on the way, whatever is known of it: only of right bytes is anything derived.
Bytes that nobody hashed before need not be hashed again to be read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from rossfs.errors import BlobNotFound, Damaged
from rossfs.image.cache import Cache
from rossfs.image.indexer import index_apart
from rossfs.image.indexing import Allowance, Outgrown, index_file
from rossfs.oci.digest import Digest
from rossfs.store.content import Content, is_sealed
from rossfs.store.store import Store
from rossfs.store.verify import Verifier, identity_of, open_file, wait_for_tick

SMALL = 8 << 20
"""Bytes of the largest blob that the calling thread reads."""

SMALL_TAR = Allowance(32 << 20, 0)
"""What such a blob may decompress to."""

_ATTEMPTS = 2


class IndexingProgress(NamedTuple):
    """How far the making of a layer's tables is."""

    digest: Digest
    done: int
    """Bytes of the blob that were read."""
    total: int
    """Bytes of the blob."""
    since: float
    """Unix seconds when it began."""


class Indexings:
    """The tables that are being made by one process.  Thread safe.

    *told* hears of each as it goes on; it may be called by several threads, and must be quick.
    """

    def __init__(
        self,
        store: Store,
        cache: Cache,
        told: Callable[[IndexingProgress], None] | None = None,
    ) -> None:
        self._store = store
        self._cache = cache
        self._told = told
        self._under_way: dict[Digest, IndexingProgress] = {}

    def make(self, digest: Digest) -> dict[str, int]:
        """As `index_blob`."""
        try:
            return index_blob(self._store, self._cache, digest, self._note)
        finally:
            self._under_way.pop(digest, None)

    def progress(self) -> list[IndexingProgress]:
        """What is being made now."""
        return list(self._under_way.values())

    def _note(self, progress: IndexingProgress) -> None:
        self._under_way[progress.digest] = progress
        if self._told is not None:
            self._told(progress)


def index_blob(
    store: Store,
    cache: Cache,
    digest: Digest,
    told: Callable[[IndexingProgress], None] | None = None,
) -> dict[str, int]:
    """Make the tables of the blob *digest* and put them into *cache*; return descriptors of them,
    by kind.

    BlobNotFound; Damaged if the bytes are not those of the digest; InvalidLayer; CacheFull;
    IndexingFailed.
    """
    content = store.contents.settle(digest)
    if content is None:
        raise BlobNotFound(f"layer {digest} is not stored")
    since = time.time()

    def note(done: int) -> None:
        if told is not None:
            told(IndexingProgress(digest, done, content.size, since))

    for _ in range(_ATTEMPTS):
        made = _attempt(store.verifier, content, cache, note)
        if made is not None:
            return made
    raise Damaged(f"{digest} changed while it was read")


def _attempt(
    verifier: Verifier, content: Content, cache: Cache, told: Callable[[int], None]
) -> dict[str, int] | None:
    """Make the tables; None if somebody wrote to the blob meanwhile."""
    digest, path = content.digest, content.path
    fd, status = open_file(digest, path)
    try:
        wait_for_tick(status.st_mtime_ns)
        before = identity_of(os.fstat(fd))
        told(0)
        try:
            made = _index(fd, content.size, digest, cache, told)
        except Damaged as error:
            if identity_of(os.fstat(fd)) != before:
                return None
            raise verifier.accuse(content._replace(**before._asdict()), str(error)) from error
        # What was read is right, whatever became of it since.
        if not is_sealed(digest, before.modified_ns) and identity_of(os.fstat(fd)) == before:
            verifier.vouch(path, before)
        return made
    finally:
        os.close(fd)


def _index(
    fd: int, size: int, digest: Digest, cache: Cache, told: Callable[[int], None]
) -> dict[str, int]:
    if size <= SMALL:
        try:
            return index_file(fd, digest, cache, allowed=SMALL_TAR, told=told)
        except Outgrown:
            pass
    return index_apart(fd, digest, cache, told=told)
