"""images/sha256/<hex>/layers/<nn>-<12 hex>.tar: one layer uncompressed, byte for byte.

Its SHA-256 is the diff ID that the config has for it.  Nothing is unpacked: reading begins anywhere
by the layer's tables, as that of its files does (image/layerdata.py).  It is the same inode in
every image that has the layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from rossfs.image.layer import Layer
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import OCI_LAYER
from rossfs.tree.fixed import FixedFile
from rossfs.tree.handle import Handle
from rossfs.tree.node import Node
from rossfs.tree.workers import Workers

_SECOND = 10**9


class LayerTar(FixedFile):
    """The file; *layer* is what it was made of, and is not kept."""

    __slots__ = ("_diff_id", "_digest", "_layers", "_workers")

    def __init__(
        self, ino: int, layers: Layers, workers: Workers, layer: Layer, seconds: int
    ) -> None:
        super().__init__(ino, layer.toc.length, seconds * _SECOND)
        self._layers = layers
        self._workers = workers
        self._digest = layer.digest
        self._diff_id = layer.diff_id

    @property
    def digest(self) -> Digest:
        """Of the blob that it is in."""
        return self._digest

    def same(self, other: Node) -> bool:
        return isinstance(other, LayerTar) and other.digest == self._digest

    def xattrs(self) -> Mapping[bytes, bytes]:
        """user.ross.digest of these bytes, which is the diff ID; .layer, the blob they are in."""
        return {
            b"user.ross.digest": str(self._diff_id).encode(),
            b"user.ross.diff_id": str(self._diff_id).encode(),
            b"user.ross.layer": str(self._digest).encode(),
            b"user.ross.media_type": OCI_LAYER.encode(),
            b"user.ross.size": b"%d" % self.size,
        }

    async def opened(self) -> Handle:
        """Errors as Layers.open."""
        layer = self._layers.opened(self._digest)
        if layer is None:
            layer = await self._workers.open(partial(self._layers.open, self._digest))
        return LayerTarHandle(layer, self._workers)


class LayerTarHandle(Handle):
    """An open uncompressed layer."""

    __slots__ = ("_layer", "_lease", "_workers")

    keep_cache: ClassVar[bool] = True
    passive: ClassVar[bool] = True

    def __init__(self, layer: Layer, workers: Workers) -> None:
        self._layer = layer
        self._lease = layer.leases.current
        self._workers = workers

    def read_ready(self, offset: int, size: int) -> bytes | memoryview | None:
        return self._layer.read_tar_ready(offset, size)

    async def read(self, offset: int, size: int) -> bytes | memoryview:
        data = self.read_ready(offset, size)
        if data is not None:
            return data
        if not self._layer.prepared:
            await self._workers.open(self._layer.prepare)
        return await self._workers.read(partial(self._layer.read_tar, offset, size))
