"""Content on its way into the store, held against collection until its tags are set.

Order: blobs, then manifests, then indexes; whoever imports sets tags last and only then lets go.
What an interrupted import leaves is unreferenced content, which a later import of the same finds
and a collection removes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from rossfs.errors import Damaged, InvalidDigest
from rossfs.image.arriving import ArrivingLayer, ArrivingLayers
from rossfs.image.progress import SILENT, Progress
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import OCTET_STREAM
from rossfs.store.filing import Stored, area_of, refresh
from rossfs.store.paths import Area
from rossfs.store.pins import Hold
from rossfs.store.store import Store


class Intake:
    """What one import puts into the store.  Thread safe."""

    def __init__(
        self,
        store: Store,
        hold: Hold,
        progress: Progress = SILENT,
        layers: ArrivingLayers | None = None,
    ) -> None:
        """*layers*: where the tables of layers that arrive are made; None: nowhere."""
        self.blobs_copied = 0
        self.bytes_copied = 0
        self._store = store
        self._hold = hold
        self._progress = progress
        self._layers = layers
        self._lock = threading.Lock()

    def has(self, digest: Digest, media_type: str = OCTET_STREAM) -> int | None:
        """The size of this content if the store has it and it is right; it is held from now on.

        A blob of which the store knows no media type gets *media_type*.
        """
        if not digest.is_stored:
            raise InvalidDigest(f"{digest} cannot be stored: use sha256 or sha512")
        # Held before it is looked for: no collection can come between.
        self._hold.add(digest)
        found = self._store.contents.settle(digest)
        if found is None:
            return None
        try:
            self._store.verifier.check(found)
        except Damaged:
            return None
        media_type = _type_of_blob(media_type)
        if found.area is Area.BLOBS and found.media_type == OCTET_STREAM != media_type:
            with self._store.access.writing():
                refresh(self._store.contents, Stored(digest, found.size, media_type, Area.BLOBS))
        return found.size

    def take(self, digest: Digest, media_type: str, size: int, chunks: Iterable[bytes]) -> None:
        """Put a blob into the store; DigestMismatch if *chunks* are something else."""
        self._hold.add(digest)
        self._put(str(digest), digest, media_type, size, chunks)

    def take_unnamed(
        self, name: str, media_type: str, size: int, chunks: Iterable[bytes]
    ) -> Digest:
        """Put a blob into the store whose digest nobody has said; return that."""
        return self._put(name, None, media_type, size, chunks)

    def document(self, digest: Digest, data: bytes, media_type: str) -> None:
        """Put a manifest or index into the store, after what it refers to."""
        self._hold.add(digest)
        self._store.put_manifest(data, media_type, digest)

    def read(self, digest: Digest) -> Iterator[bytes]:
        """Give the content of a stored blob in pieces of at most 1 MiB."""
        with self._store.open_blob(digest) as reader:
            yield from reader.chunks()

    def _put(
        self,
        name: str,
        expected: Digest | None,
        media_type: str,
        size: int,
        chunks: Iterable[bytes],
    ) -> Digest:
        self._progress.begin(name, size)
        algorithm = expected.algorithm if expected else "sha256"
        with (
            ArrivingLayer(self._layers, media_type, algorithm) as layer,
            self._store.ingest(algorithm) as ingest,
        ):
            for chunk in chunks:
                ingest.append(chunk)
                layer.feed(chunk)
                self._progress.advance(name, len(chunk))
            media_type = _type_of_blob(media_type)
            is_new = True
            if expected is None:
                digest = ingest.finish(None, media_type).digest
                is_new = self.has(digest, media_type) is None
            stored = ingest.commit(expected, media_type)
            layer.stored(stored.digest)
        self._progress.end(name)
        if is_new:
            with self._lock:
                self.blobs_copied += 1
                self.bytes_copied += stored.size
        return stored.digest


def _type_of_blob(media_type: str) -> str:
    """*media_type*, unless the store would file the content as a manifest or index for it: what a
    manifest refers to is a blob, whatever is in it."""
    return media_type if area_of(media_type) is Area.BLOBS else OCTET_STREAM
