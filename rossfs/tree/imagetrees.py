"""The trees of images: opened when somebody first goes into a root filesystem or a layer.

Opening reads tables, or makes them, in a worker thread; several who ask meanwhile wait for the same
layers (image/layers.py).  What cannot be served, because a layer is damaged or is not what the
config says, or the config cannot be read, is an error each time and is listed in .ross/damaged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar
from weakref import WeakValueDictionary

from rossfs.errors import (
    Damaged,
    DiffIdMismatch,
    InvalidDocument,
    InvalidLayer,
    NotFound,
    RossfsError,
)
from rossfs.image.configuration import read_config
from rossfs.image.layer import Layer
from rossfs.image.layers import Layers
from rossfs.image.opened import OpenedImage, open_rootfs
from rossfs.image.resolve import Image
from rossfs.oci.config import History
from rossfs.oci.digest import Digest
from rossfs.store.content import Unproven
from rossfs.store.store import Store
from rossfs.tree.layerinodes import LayerInodes
from rossfs.tree.layertar import LayerTar
from rossfs.tree.layerview import LayerViewTree
from rossfs.tree.numbers import TREE_SHIFT, Numbers
from rossfs.tree.overlaylayer import Stacked
from rossfs.tree.recent import Recent
from rossfs.tree.rootfs import RECORD_SHIFT, RootfsTree
from rossfs.tree.trees import Trees
from rossfs.tree.workers import Workers

T = TypeVar("T")

_SECOND = 10**9
_TOLD = 1000

_log = logging.getLogger("rossfs.tree")


class Shown(NamedTuple):
    """An image, and the directory that shows it: its own, or that of an index that chose it."""

    place: Digest
    ino: int
    """The number of images/sha256/<hex of place>/."""
    layers_ino: int
    """The number of layers/ in there."""
    image: Image


class ImageTrees:
    """Opens the trees of one mount."""

    __slots__ = (
        "_absent",
        "_damaged",
        "_numbers",
        "_stacked",
        "_tar_number",
        "_trees",
        "layers",
        "recent",
        "store",
        "workers",
    )

    def __init__(self, store: Store, layers: Layers, numbers: Numbers, trees: Trees) -> None:
        self.store = store
        self.layers = layers
        self._numbers = numbers
        self._trees = trees
        self.recent = Recent()
        self._tar_number = numbers.family(b"layer tar")
        self.workers = Workers()
        self._stacked: WeakValueDictionary[Digest, Stacked] = WeakValueDictionary()
        """By the digest of the image, or of the layer if what is below it is not known."""
        self._damaged: dict[str, str] = {}
        self._absent: set[str] = set()
        """Images and layers of which something is not stored, as the log was told."""

    def damaged(self) -> Iterator[tuple[str, str]]:
        """Images and layers that could not be shown, and why."""
        yield from list(self._damaged.items())

    def stored(self, *digests: Digest) -> bool:
        """Whether all of these are in the store, as far as can be told without hashing."""
        try:
            return all(self.store.contents.glance(digest) is not None for digest in digests)
        except Unproven:
            return True

    # The root filesystem

    def has_rootfs(self, shown: Shown) -> bool:
        """Whether all that its root filesystem needs is stored."""
        manifest = shown.image.manifest
        digests = dict.fromkeys(layer.digest for layer in manifest.layers)
        return self.stored(manifest.config.digest, *digests)

    def rootfs_ino(self, shown: Shown) -> int:
        """The number of an image's rootfs/, loaded or not: the key of a root is that of the highest
        layer's."""
        position = max(0, len(shown.image.manifest.layers) - 1)
        return self._rootfs_number(shown) << TREE_SHIFT | position << RECORD_SHIFT

    def rootfs(self, shown: Shown) -> RootfsTree | None:
        """The tree of an image if it is loaded; never waits."""
        tree = self._trees.get(self._rootfs_number(shown))
        if not isinstance(tree, RootfsTree):
            return None
        self._trees.hold(tree)  # it may be one that the kernel forgot and somebody still uses
        return tree

    async def open_rootfs(self, shown: Shown) -> None:
        """Load the tree of an image.  Errors as image.opened.open_rootfs."""
        opened = await self.run(
            str(shown.image.digest), lambda: open_rootfs(self.store, self.layers, shown.image)
        )
        if self.rootfs(shown) is None:
            self._trees.hold(self._grown(shown, opened))

    def _grown(self, shown: Shown, opened: OpenedImage) -> RootfsTree:
        inodes = [
            self._inodes(layer, step)
            for layer, step in zip(opened.layers, opened.history, strict=True)
        ]
        number = self._rootfs_number(shown)
        digest = opened.image.digest
        return RootfsTree(number, digest, opened.rootfs, inodes, shown.ino, self.recent)

    def _rootfs_number(self, shown: Shown) -> int:
        return self._numbers.tree(b"rootfs" + shown.place.raw + shown.image.digest.raw)

    # One layer

    def layer_ino(self, shown: Shown, position: int) -> int:
        """The number of the directory of one layer in an image, loaded or not."""
        return self._layer_number(shown, position) << TREE_SHIFT

    def layer(self, shown: Shown, position: int) -> LayerViewTree | None:
        """The tree of one layer in an image if it is loaded; never waits."""
        tree = self._trees.get(self._layer_number(shown, position))
        if not isinstance(tree, LayerViewTree):
            return None
        self._trees.hold(tree)
        return tree

    async def open_layer(self, shown: Shown, position: int) -> None:
        """Load the tree of one layer.  DiffIdMismatch, InvalidLayer, BlobNotFound, Damaged,
        InvalidDocument."""
        descriptor = shown.image.manifest.layers[position]
        layer, step = await self.run(
            str(descriptor.digest), lambda: self._open_layer(shown.image, position)
        )
        if self.layer(shown, position) is None:
            number = self._layer_number(shown, position)
            inodes = self._inodes(layer, step)
            self._trees.hold(LayerViewTree(number, inodes, descriptor, shown.layers_ino))

    def tar_ino(self, shown: Shown, position: int) -> int:
        """The number of one layer uncompressed: the same in every image."""
        return self._tar_number(shown.image.manifest.layers[position].digest.raw)

    async def open_tar(self, shown: Shown, position: int) -> LayerTar:
        """The file that is one layer uncompressed.  Errors as `open_layer`."""
        digest = shown.image.manifest.layers[position].digest
        ino = self.tar_ino(shown, position)

        def work() -> LayerTar:
            layer, _ = self._open_layer(shown.image, position)
            content = self.store.contents.settle(digest)
            modified_ns = 0 if content is None else content.modified_ns
            return LayerTar(ino, self.layers, self.workers, layer, modified_ns // _SECOND)

        return await self.run(str(digest), work)

    def _open_layer(self, image: Image, position: int) -> tuple[Layer, History | None]:
        layer = self.layers.open(image.manifest.layers[position].digest)
        if not image.manifest.is_image:
            return layer, None
        config = read_config(self.store, image)
        if position >= len(config.diff_ids):
            raise DiffIdMismatch(
                f"image {image.digest} has {len(image.manifest.layers)} layers, but its config has "
                f"{len(config.diff_ids)} diff IDs"
            )
        self.layers.check_diff_id(layer, config.diff_ids[position])
        return layer, config.layer_history()[position]

    def _layer_number(self, shown: Shown, position: int) -> int:
        place = shown.place.raw + shown.image.digest.raw
        return self._numbers.tree(b"layer%d " % position + place)

    # Layers for overlayfs (overlaytrees.py)

    async def stacked(self, image: Image) -> Stacked:
        """The layers of an image, opened.  Errors as image.opened.open_rootfs."""
        known = self._stacked.get(image.digest)
        if known is None:
            opened = await self.run(
                str(image.digest), lambda: open_rootfs(self.store, self.layers, image)
            )
            steps = zip(opened.layers, opened.history, strict=True)
            inodes = [self._inodes(layer, step) for layer, step in steps]
            # Somebody else may have opened it meanwhile.
            known = self._stacked.get(image.digest) or Stacked(opened.rootfs, inodes)
            self._stacked[image.digest] = known
        return known

    async def lone(self, digest: Digest) -> Stacked:
        """The layer *digest* (of the blob), of which nobody knows what is below it.  InvalidLayer,
        BlobNotFound, Damaged."""
        known = self._stacked.get(digest)
        if known is None:
            layer = await self.run(str(digest), lambda: self.layers.open(digest))
            known = self._stacked.get(digest) or Stacked.lone(self._inodes(layer, None))
            self._stacked[digest] = known
        return known

    def _inodes(self, layer: Layer, step: History | None) -> LayerInodes:
        number = self._numbers.tree(b"inodes" + layer.digest.raw)
        tree = self._trees.get(number)
        if isinstance(tree, LayerInodes):
            return tree
        history = step.created_by.encode() if step is not None else b""
        made = LayerInodes(number, layer, history, self.workers)
        self._trees.show(made)
        return made

    async def run(self, what: str, work: Callable[[], T]) -> T:
        """Run *work*, which opens *what*; what is damaged is remembered and told."""
        try:
            done = await self.workers.open(work)
        except (Damaged, InvalidDocument, InvalidLayer) as error:
            self._tell(what, error)
            raise
        except NotFound as error:
            if what not in self._absent and len(self._absent) < _TOLD:
                self._absent.add(what)
                _log.info("%s cannot be shown: %s", what, error)
            raise
        self._damaged.pop(what, None)  # right content came in its place
        return done

    def _tell(self, what: str, error: RossfsError) -> None:
        # Once each, or one program that tries again and again would be all that the log shows.
        reason = str(error)
        if self._damaged.get(what) != reason and len(self._damaged) < _TOLD:
            self._damaged[what] = reason
            _log.warning("%s", reason)
