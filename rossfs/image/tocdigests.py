"""Which layers are said to have which table of contents: the annotations of all manifests.

    containerd.io/snapshot/stargz/toc.digest                    eStargz (docs/estargz.md)
    io.github.containers.zstd-chunked.manifest-checksum         zstd:chunked

Each manifest is read once.  Kept in memory from the first question on: about 38 bytes for each
document of the store and 90 for each such layer.  A descriptor with both annotations names no
table: podman refuses it too (containers/storage, pkg/chunked/toc).
"""

from __future__ import annotations

import os
import threading
import time
from array import array

from rossfs.errors import Damaged, InvalidDigest, InvalidDocument
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.oci.recognise import parse_as
from rossfs.store import areas, documents
from rossfs.store.digestset import DigestList, DigestSet
from rossfs.store.paths import ALGORITHMS, Area, Paths

ESTARGZ = "containerd.io/snapshot/stargz/toc.digest"
ZSTD_CHUNKED = "io.github.containers.zstd-chunked.manifest-checksum"

_SETTLED_NS = 2 * 10**9
"""A directory that changed so recently may change again without its time showing it."""


class TocDigests:
    """The layers with tables of contents of one store.  Thread safe."""

    __slots__ = ("_guard", "_heads", "_layers", "_next", "_paths", "_read", "_seen", "_tocs")

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._guard = threading.Lock()
        self._read = DigestSet()
        self._tocs = DigestSet()
        # For each table the number plus 1 of its first layer, for each layer that of the next one
        # with the same table; 0 ends the chain.
        self._heads = array("I")
        self._layers = DigestList()
        self._next = array("I")
        self._seen: dict[str, tuple[int, bool]] = {}
        """Of each directory its time when it was read, and whether that was old then."""

    def is_current(self) -> bool:
        """Whether `layers` knows all manifests that are stored; a few system calls."""
        return all(self._is_current(directory) for directory, _ in self._directories())

    def layers(self, toc: Digest) -> list[Digest]:
        """The layers that are said to have it, stored or not, as of the last `refresh`."""
        with self._guard:
            number = self._tocs.number(toc)
            found = []
            place = self._heads[number] if number >= 0 else 0
            while place:
                layer = self._layers[place - 1]
                if layer not in found:
                    found.append(layer)
                place = self._next[place - 1]
            return found

    def refresh(self) -> None:
        """Read the manifests that are new; the first time that is all of them."""
        with self._guard:
            for directory, algorithm in self._directories():
                modified_ns = _modified(directory)
                if self._seen.get(directory) == (modified_ns, True):
                    continue
                settled = modified_ns < time.time_ns() - _SETTLED_NS
                for digest in areas.names(directory, algorithm):
                    if digest not in self._read:
                        self._add(digest)
                self._seen[directory] = modified_ns, settled

    def _is_current(self, directory: str) -> bool:
        seen = self._seen.get(directory)
        if seen is None or seen[0] != _modified(directory):
            return False
        # Within one tick of the file system's clock more may have come.
        return seen[1] or seen[0] < time.time_ns() - _SETTLED_NS or not seen[0]

    def _directories(self) -> list[tuple[str, str]]:
        return [(self._paths.area(Area.MANIFESTS, name), name) for name in ALGORITHMS]

    def _add(self, document: Digest) -> None:
        """Note the tables that *document* names.  Requires the guard."""
        try:
            data = documents.read_document(self._paths, document)
        except Damaged:
            return  # it is read again when it is asked for next: somebody may have mended it
        if data is None:
            return
        self._read.add(document)
        if ESTARGZ.encode() not in data and ZSTD_CHUNKED.encode() not in data:
            return
        try:
            manifest = parse_as(data, "")
        except InvalidDocument:
            return
        if not isinstance(manifest, Manifest):
            return
        for layer in manifest.layers:
            toc = toc_of(layer)
            if toc is not None:
                self._put(toc, layer.digest)

    def _put(self, toc: Digest, layer: Digest) -> None:
        if self._tocs.add(toc):
            self._heads.append(0)
        number = self._tocs.number(toc)
        self._layers.append(layer)
        self._next.append(self._heads[number])
        self._heads[number] = len(self._layers)


def toc_of(layer: Descriptor) -> Digest | None:
    """The digest of the table of contents that a descriptor names."""
    named = [layer.annotations.get(name) for name in (ESTARGZ, ZSTD_CHUNKED)]
    texts = [text for text in named if text is not None]
    if len(texts) != 1:
        return None
    try:
        return Digest.parse(texts[0])
    except InvalidDigest:
        return None


def _modified(directory: str) -> int:
    try:
        return os.stat(directory).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0
