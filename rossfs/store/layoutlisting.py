"""What blobs/ of a layout lists: what its index.json reaches and what was put through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rossfs.errors import Damaged
from rossfs.oci.digest import Digest
from rossfs.store import areas, documents, layoutmarks
from rossfs.store.digestset import DigestSet
from rossfs.store.layoutmarks import Kind
from rossfs.store.paths import Paths


def listing(paths: Paths, repository: str, named: Iterable[Digest]) -> Iterator[Digest]:
    """What was put, and what *named*, the descriptors of index.json, reach: manifests, configs and
    layers, but not subjects; each once, in no order, as far as it is stored and was not dropped.

    A manifest that cannot be read is listed, and what it needs is not.
    """
    given = DigestSet()
    for mark in layoutmarks.marks(paths, repository, Kind.PUT):
        if _is_stored(paths, mark.digest) and given.add(mark.digest):
            yield mark.digest
    met = DigestSet()
    pending = [*named]
    while pending:
        digest = pending.pop()
        if not met.add(digest) or not _is_stored(paths, digest):
            continue
        dropped = layoutmarks.exists(paths, repository, Kind.DROPPED, digest)
        if not dropped and given.add(digest):
            yield digest
        try:
            data = documents.read_document(paths, digest)
        except Damaged:
            continue
        if data is not None:
            needs = documents.needs(data)
            pending.extend(need.digest for need in needs if not need.is_subject)


def _is_stored(paths: Paths, digest: Digest) -> bool:
    return areas.stored_size(paths, digest) is not None
