"""How many bytes layers have when they are uncompressed, as far as that is known without reading
them: podman wants it in layers.json, and cannot save an image for docker where it is missing.

Who opened a layer knows it, and its table does.  Else gzip says it of itself, in its last four
bytes (RFC 1952, 2.3.1, ISIZE): of its last member and modulo 2**32, so what cannot be the length of
a whole tar archive is not believed.
"""

from __future__ import annotations

import os

from rossfs.errors import InvalidTable
from rossfs.image.cache import Cache
from rossfs.image.tables import TOC, table_name
from rossfs.image.tocformat import HEADER_SIZE, Header
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import layer_extension
from rossfs.store.paths import Area
from rossfs.store.store import Store

_BLOCK = 512
_BELIEVED = 1 << 30
"""Bytes of a blob: a larger one may well have more than 4 GiB in it."""


class LayerLengths:
    """The lengths of the layers of one store.  Thread safe."""

    __slots__ = ("_cache", "_known", "_store")

    def __init__(self, store: Store, cache: Cache) -> None:
        self._store = store
        self._cache = cache
        self._known: dict[Digest, int] = {}

    def learn(self, blob: Digest, length: int) -> None:
        """The layer *blob* was opened and has *length* bytes."""
        self._known[blob] = length

    def find(self, blob: Descriptor) -> int | None:
        """Bytes of the layer *blob*; None if nothing tells."""
        known = self._known.get(blob.digest)
        if known is None:
            known = self._in_table(blob.digest)
            if known is not None:
                self._known[blob.digest] = known
        if known is None:
            match layer_extension(blob.media_type):
                case "tar":
                    return blob.size
                case "tar.gz":
                    return self._in_trailer(blob)
        return known

    def _in_table(self, digest: Digest) -> int | None:
        fd = self._cache.open(table_name(digest, TOC))
        if fd is None:
            return None
        try:
            header = Header.parse(os.pread(fd, HEADER_SIZE, 0), os.fstat(fd).st_size)
        except (InvalidTable, OSError):
            return None
        finally:
            os.close(fd)
        return header.length if header.digest == digest else None

    def _in_trailer(self, blob: Descriptor) -> int | None:
        try:
            with open(self._store.paths.content(Area.BLOBS, blob.digest), "rb") as file:
                file.seek(-4, os.SEEK_END)
                length = int.from_bytes(file.read(4), "little")
        except OSError:
            return None
        whole = length % _BLOCK == 0 and blob.size < _BELIEVED
        return length if whole and length > blob.size else None
