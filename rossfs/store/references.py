"""Who needs a content, so that nobody removes it by hand.

A content is needed by the manifests that have it as config or layer, by the indexes that have it as
manifest, by tags and names in layouts, by processes that hold it, by podman that uses it in place,
by what was accepted in incoming/ and is not carried out yet, and by the names in incoming/ that
lead to it, however old: they would lead nowhere.  A subject is not held by what refers to it: the
specification lets it be missing (image-spec manifest.md).  The pins of layouts keep collection
away, and nobody else.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from rossfs.errors import Referenced
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.store import documents, layoutkeeping, uploads
from rossfs.store.contents import Contents
from rossfs.store.incoming import Incoming
from rossfs.store.paths import Area
from rossfs.store.pins import Pins
from rossfs.store.reverse import ReverseIndex
from rossfs.store.tags import Tags
from rossfs.store.uses import Uses


class Holder(NamedTuple):
    """Who needs a content."""

    kind: str
    """tag, layout, index, manifest, file, name, podman or process."""
    name: str
    """A tag as repository:tag, a digest, or a path in oci/ or incoming/; empty for the last two."""

    def __str__(self) -> str:
        if self.kind == "podman":
            return "podman (see als/)"
        if not self.name:
            return f"a running {self.kind}"
        return f"{self.kind} {quote(self.name) if self.kind in ('file', 'name') else self.name}"


class References:
    """Who needs what in one store.  Thread safe."""

    __slots__ = ("_contents", "_incoming", "_pins", "_reverse", "_tags", "_uses")

    def __init__(
        self, contents: Contents, tags: Tags, incoming: Incoming, pins: Pins, uses: Uses
    ) -> None:
        self._contents = contents
        self._incoming = incoming
        self._tags = tags
        self._pins = pins
        self._uses = uses
        self._reverse = ReverseIndex(contents.access.paths)

    def holder_of(self, digest: Digest) -> Holder | None:
        """Somebody who needs *digest*, or None.  Final under `Access.sweeping` only.

        The first call reads all manifests and indexes of the store, later ones those that are new;
        for a manifest or index all tags are read.
        """
        paths = self._contents.access.paths
        for parent in self._reverse.parents_of(digest):
            is_index = self._contents.settle_in(Area.INDEXES, parent) is not None
            return Holder("index" if is_index else "manifest", str(parent))
        if documents.is_stored(paths, digest):
            for path, named in self._tags.roots():
                if named == digest:
                    repository, _, tag = path.rpartition("/")
                    return Holder("tag", f"{repository}:{tag}")
            for repository, named in layoutkeeping.roots(paths, self._tags):
                if named == digest:
                    return Holder("layout", f"oci/{repository}")
        for record in uploads.records(paths):
            if digest == record.stored.digest or digest in record.needs:
                return Holder("file", f"incoming/{os.fsdecode(record.name)}")
        for pin in self._incoming.pins():
            if pin.digest == digest:
                return Holder("name", f"incoming/{os.fsdecode(pin.name)}")
        if self._uses.is_used(digest):
            return Holder("podman", "")
        return Holder("process", "") if self._pins.is_held(digest) else None

    def remove_unreferenced(self, digest: Digest) -> bool:
        """Remove *digest* from every area, with its .meta; False if it is not stored.

        Referenced, naming the holder, if something needs it.  Waits for writers, and they for it.
        The calling thread must not hold the store lock.
        """
        access = self._contents.access
        access.require_writable()
        if not self._is_stored(digest):
            return False
        # Without the lock first: what takes long is done and remembered before writers wait.
        for _ in self._reverse.parents_of(digest):
            break
        with access.sweeping():
            holder = self.holder_of(digest)
            if holder is not None:
                raise Referenced(f"cannot remove {digest}: {holder} needs it")
            # An index goes from indexes/ first: in manifests/ alone it still is one.
            order = (Area.INDEXES, Area.MANIFESTS, Area.BLOBS)
            removed = [self._contents.remove(area, digest) for area in order]
        return any(freed is not None for freed in removed)

    def _is_stored(self, digest: Digest) -> bool:
        """Whether a file is there, right or wrong."""
        paths = self._contents.access.paths
        return digest.is_stored and any(
            os.path.lexists(paths.content(area, digest)) for area in Area
        )
