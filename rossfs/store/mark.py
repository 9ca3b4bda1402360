"""Marking: what must be kept, starting from what is known to be needed.

An index keeps its manifests, a manifest its config, layers and subject.  A document that is to be
kept and cannot be read is Damaged: what it refers to is unknown, so nothing may be removed.
"""

from __future__ import annotations

from rossfs.errors import Damaged
from rossfs.oci.digest import Digest
from rossfs.store import documents
from rossfs.store.digestset import DigestList, DigestSet
from rossfs.store.paths import Paths


class Marker:
    """What is to be kept in one store.  Not thread safe."""

    __slots__ = ("_followed", "_paths", "kept")

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self.kept = DigestSet()
        self._followed = DigestSet()

    def mark(self, digest: Digest, reason: str, *, is_document: bool = False) -> None:
        """Keep *digest* and all that it needs.  Damaged, naming *reason*, if that is unknown.

        It may be marked again once it is stored.  *is_document*: if it lies among the blobs, it is
        a manifest or index all the same.
        """
        asked = digest
        pending = [(digest, is_document)]
        while pending:
            digest, is_document = pending.pop()
            is_new = self.kept.add(digest)
            if digest in self._followed or not (is_new or is_document or digest is asked):
                continue
            try:
                data = documents.read_document(self._paths, digest)
                if data is None and is_document:
                    data = documents.read_filed_as_blob(self._paths, digest)
            except Damaged as error:
                raise Damaged(
                    f"cannot tell what {reason} needs, so what to keep: {error}"
                ) from error
            if data is not None:
                self._followed.add(digest)
                pending.extend((need.digest, need.is_document) for need in documents.needs(data))


def referrers_first(paths: Paths, found: DigestSet) -> DigestList:
    """The documents *found*, each before those that it refers to.

    Whoever removes them in this order, and then blobs, leaves at no time a document without what it
    refers to.
    """
    last_to_first = DigestList()
    met = DigestSet()
    for root in found:
        if not met.add(root):
            continue
        path = [(root, _within(paths, root, found))]
        while path:
            digest, below = path[-1]
            while below:
                child = below.pop()
                if met.add(child):
                    path.append((child, _within(paths, child, found)))
                    break
            else:
                last_to_first.append(digest)
                path.pop()
    first_to_last = DigestList()
    for number in reversed(range(len(last_to_first))):
        first_to_last.append(last_to_first[number])
    return first_to_last


def _within(paths: Paths, digest: Digest, found: DigestSet) -> list[Digest]:
    """What the document refers to among *found*; nothing if it cannot be read."""
    try:
        data = documents.read_document(paths, digest)
    except Damaged:
        return []
    if data is None:
        return []
    return [need.digest for need in documents.needs(data) if need.digest in found]
