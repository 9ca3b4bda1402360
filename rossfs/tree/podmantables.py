"""podman/overlay-layers/: what containers/storage knows of layers besides their files.

    layers.json      which layers there are
    layers.lock      as images.lock (podmanimages.py)

Tables are answered from memory.
"""

from __future__ import annotations

import stat
from typing import ClassVar

from rossfs.image.imagestore import ImageStore
from rossfs.tree.node import Attr, Directory, Entries, Entry, Listing, Node
from rossfs.tree.podmanimages import Number, listed
from rossfs.tree.podmanview import PodmanView


class LayerTablesDirectory(Directory):
    """overlay-layers/."""

    __slots__ = ("_number", "_shown", "_view")

    ttl: ClassVar[float] = 1.0

    def __init__(self, ino: int, view: PodmanView, number: Number) -> None:
        super().__init__(ino)
        self._view = view
        self._number = number
        self._shown: tuple[ImageStore, dict[bytes, Node]] | None = None

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self._view.layers_ns)

    def lookup(self, name: bytes) -> Node | None:
        return self._tables(self._view.current()).get(name)

    def entries(self) -> Listing:
        tables = self._tables(self._view.current())
        return Entries(Entry(name, node) for name, node in tables.items())

    async def settle(self) -> None:
        await self._view.settle()

    def _tables(self, store: ImageStore) -> dict[bytes, Node]:
        if self._shown is None or self._shown[0] is not store:
            made = listed(self._number, b"layers", store.layers_json, self._view.layers_ns)
            self._shown = store, made
        return self._shown[1]
