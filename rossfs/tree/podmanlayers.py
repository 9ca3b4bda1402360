"""podman/overlay/: the layers, as the overlay driver of containers/storage has them.

    <id>/diff/     the layer in overlay form (overlaytrees.py)
    <id>/link      its short name
    <id>/lower     the short names of the layers below, the nearest first; the lowest has none
    <id>/rootfs/   the layer and all below it, merged; listed nowhere
    l/<link>       -> ../<id>/diff, or ../<id>/rootfs: one directory instead of many layers

Layers are opened when somebody goes into one: then all of an image, for podman wants all of them.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import ClassVar

import trio

from rossfs.errors import DiffIdMismatch, InvalidLayer, NotFound
from rossfs.image.imagestore import StoreLayer
from rossfs.image.resolve import Image
from rossfs.oci.digest import Digest
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.node import (
    FOREVER,
    Attr,
    Directory,
    Entries,
    Entry,
    Listing,
    Node,
    Unsettled,
)
from rossfs.tree.overlaylayer import OverlayTree, Stacked
from rossfs.tree.overlaytrees import OverlayTrees
from rossfs.tree.podmanview import PodmanView
from rossfs.tree.rootfs import RootfsTree
from rossfs.tree.static import BytesFile, FixedSymlink

Number = Callable[[bytes], int]

DIFF = b"diff"
MERGED = b"rootfs"
LINKS = b"l"


class StoreLayers:
    """What the directories of all layers share."""

    __slots__ = ("_used", "inside", "number", "overlays", "view")

    def __init__(
        self, view: PodmanView, inside: ImageTrees, overlays: OverlayTrees, number: Number
    ) -> None:
        self.view = view
        self.inside = inside
        self.overlays = overlays
        self.number = number
        self._used: dict[str, Digest] = {}
        """The image through which a layer was opened last, by its id."""

    def directory(self, layer: StoreLayer) -> LayerDirectory:
        """<id>/."""
        return LayerDirectory(self.number(b"layer " + layer.id.encode()), self, layer)

    def link(self, layer: StoreLayer) -> Node:
        """l/<link>."""
        text = b"../%b/diff" % layer.id.encode()
        return FixedSymlink(self.number(b"l " + layer.id.encode()), text)

    def merged_link(self, layer: str) -> Node:
        """l/<link> of the layer with the id *layer* and all below it."""
        text = f"../{layer}/rootfs".encode()
        return FixedSymlink(self.number(b"l merged " + layer.encode()), text)

    def tree(self, layer: str) -> OverlayTree | None:
        """The tree of the layer with the id *layer* if it is loaded."""
        return self.overlays.get(_place(layer))

    def merged(self, layer: str) -> RootfsTree | None:
        """As `tree`, with all layers below it."""
        return self.overlays.merged(_merged_place(layer))

    def tree_ino(self, layer: str) -> int:
        """The number of its diff/, loaded or not."""
        return self.overlays.ino(_place(layer))

    async def open(self, layer: StoreLayer, parent: int) -> None:
        """Load the tree of *layer*, whose diff/ is in the directory *parent*.  Errors as
        `stacked`."""
        image, stacked = await self._opened(layer)
        await self.overlays.open(_place(layer.id), image, layer.position, parent)
        del stacked  # it was there all the time

    async def open_merged(self, layer: StoreLayer, parent: int) -> None:
        """As `open`, with all layers below it."""
        image, stacked = await self._opened(layer)
        place = _merged_place(layer.id)
        await self.overlays.open_merged(place, image, layer.position + 1, parent)
        del stacked

    async def stacked(self, layer: StoreLayer) -> Stacked:
        """The layers of an image in which *layer* is at its position.

        What is wrong with the image takes that out of what is shown.  NotFound, InvalidLayer,
        DiffIdMismatch, Damaged.
        """
        return (await self._opened(layer))[1]

    async def _opened(self, layer: StoreLayer) -> tuple[Image, Stacked]:
        store, survey = self.view.known(), self.view.survey
        manifest = self._used.get(layer.id) or store.layers.get(layer.id, layer).manifest
        try:
            image = await trio.to_thread.run_sync(survey.open, manifest, abandon_on_cancel=True)
            stacked = await self.inside.stacked(image)
        except (DiffIdMismatch, InvalidLayer) as error:
            survey.reject(manifest, str(error))
            self._fail(layer)
            raise
        except NotFound:
            self._fail(layer)
            raise
        # Whoever wants this layer wants those below it next: through the same image.
        if layer.id in store.layers:
            chain = store.chain(layer)
            for below, inodes in zip(chain, stacked.layers, strict=False):
                self._used[below.id] = manifest
                length = inodes.toc.length
                if below.length != length:
                    survey.lengths.learn(below.blob.digest, length)
                    self.view.outdated()
        if len(self._used) > len(store.layers):
            self._used = {one: self._used[one] for one in store.layers if one in self._used}
        return image, stacked

    def _fail(self, layer: StoreLayer) -> None:
        self._used.pop(layer.id, None)
        self.view.outdated()


def _place(layer: str) -> bytes:
    return b"podman " + layer.encode()


def _merged_place(layer: str) -> bytes:
    return b"podman merged " + layer.encode()


class OverlayStoreDirectory(Directory):
    """overlay/."""

    __slots__ = ("_layers", "_links")

    ttl: ClassVar[float] = 1.0

    def __init__(self, ino: int, layers: StoreLayers) -> None:
        super().__init__(ino)
        self._layers = layers
        self._links = LinksDirectory(layers.number(b"l"), layers)

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self._layers.view.layers_ns)

    def lookup(self, name: bytes) -> Node | None:
        if name == LINKS:
            return self._links
        one = name.decode("latin-1")
        layer = self._layers.view.find(lambda store: one in store.layers).layers.get(one)
        return None if layer is None else self._layers.directory(layer)

    def entries(self) -> Listing:
        layers = self._layers.view.current().layers.values()
        entries = [Entry(one.id.encode(), self._layers.directory(one)) for one in layers]
        return Entries([Entry(LINKS, self._links), *entries])

    async def settle(self) -> None:
        await self._layers.view.settle()


class LinksDirectory(Directory):
    """overlay/l/."""

    __slots__ = ("_layers",)

    ttl: ClassVar[float] = 1.0

    def __init__(self, ino: int, layers: StoreLayers) -> None:
        super().__init__(ino)
        self._layers = layers

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self._layers.view.layers_ns)

    def lookup(self, name: bytes) -> Node | None:
        link = name.decode("latin-1")
        view = self._layers.view
        store = view.find(lambda store: link in store.links or link in store.merged_links)
        one = store.links.get(link)
        if one is not None:
            return self._layers.link(store.layers[one])
        merged = store.merged_links.get(link)
        return None if merged is None else self._layers.merged_link(merged)

    def entries(self) -> Listing:
        store, layers = self._layers.view.current(), self._layers
        entries = [Entry(one.link.encode(), layers.link(one)) for one in store.layers.values()]
        for link, one in store.merged_links.items():
            entries.append(Entry(link.encode(), layers.merged_link(one)))
        return Entries(entries)

    async def settle(self) -> None:
        await self._layers.view.settle()


class LayerDirectory(Directory):
    """One layer: its id says what it and all below it are, so nothing here changes."""

    __slots__ = ("_files", "_layers", "_wanted", "layer")

    ttl: ClassVar[float] = FOREVER
    negative_ttl: ClassVar[float] = FOREVER
    constant: ClassVar[bool] = True

    def __init__(self, ino: int, layers: StoreLayers, layer: StoreLayer) -> None:
        super().__init__(ino)
        self.layer = layer
        self._layers = layers
        self._files: dict[bytes, Node] = {}
        self._wanted = DIFF
        texts = {b"link": layer.link.encode()}
        if layer.parent:
            texts[b"lower"] = layers.view.known().lower(layer)
        for name, text in texts.items():
            number = layers.number(name + b" " + layer.id.encode())
            self._files[name] = BytesFile(number, text)

    def attr(self) -> Attr:
        return Attr(stat.S_IFDIR | 0o555)

    def same(self, other: Node) -> bool:
        return isinstance(other, LayerDirectory) and other.layer.id == self.layer.id

    def lookup(self, name: bytes) -> Node | None:
        tree: OverlayTree | RootfsTree | None
        if name == DIFF:
            tree = self._layers.tree(self.layer.id)
        elif name == MERGED:
            tree = self._layers.merged(self.layer.id)
        else:
            return self._files.get(name)
        if tree is None:
            self._wanted = name
            raise Unsettled
        return tree.root

    def entries(self) -> Listing:
        """diff/ by name only: listing all layers must not open them.  Without rootfs/, or programs
        that walk would meet each layer once for every one above it."""
        ino = self._layers.tree_ino(self.layer.id)
        entries = [Entry(name, node) for name, node in self._files.items()]
        return Entries([Entry(DIFF, None, stat.S_IFDIR, ino), *entries])

    async def settle(self) -> None:
        """Open the layer, or all up to it."""
        # No await since lookup: it is what this caller wants.
        if self._wanted == MERGED:
            await self._layers.open_merged(self.layer, self.ino)
        else:
            await self._layers.open(self.layer, self.ino)
