"""The layers in overlay form of one mount: opened when somebody first goes into one.

A place is what tells one such directory from all others of the mount, b"podman" and the id of the
layer there for example: a layer may be shown at several, and has numbers of its own at each.  The
use, in a directory whose name *name* is such a place:

    def lookup(self, name):
        tree = overlays.get(place)
        if tree is None:
            raise Unsettled         # and `settle` awaits overlays.open(place, image, position, ino)
        return tree.root
"""

from __future__ import annotations

import logging

from rossfs.image.layer import Layer
from rossfs.image.resolve import Image
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.numbers import TREE_SHIFT, Numbers
from rossfs.tree.overlaylayer import OverlayTree, Stacked
from rossfs.tree.rootfs import RootfsTree
from rossfs.tree.trees import Trees

_LINES = 10
"""Entries of one layer that the log names."""

_TOLD = 1000

_log = logging.getLogger("rossfs.tree")


class OverlayTrees:
    """Opens and finds them."""

    __slots__ = ("_inside", "_numbers", "_told", "_trees")

    def __init__(self, inside: ImageTrees, numbers: Numbers, trees: Trees) -> None:
        self._inside = inside
        self._numbers = numbers
        self._trees = trees
        self._told: set[Digest] = set()
        """Layers whose refused entries the log has."""

    def ino(self, place: bytes) -> int:
        """The number of the directory at *place*, loaded or not."""
        return self._number(place) << TREE_SHIFT

    def get(self, place: bytes) -> OverlayTree | None:
        """The tree at *place* if it is loaded; never waits."""
        tree = self._trees.get(self._number(place))
        if not isinstance(tree, OverlayTree):
            return None
        self._trees.hold(tree)  # it may be one that the kernel forgot and somebody still uses
        return tree

    async def open(self, place: bytes, image: Image, position: int, parent: int) -> OverlayTree:
        """Load the tree of the layer at *position* of *image* (0 is the lowest), over those below
        it there; *parent*: the number of the directory that it is in.

        Errors as image.opened.open_rootfs; all layers of the image must be stored.
        """
        return self._show(place, await self._inside.stacked(image), position, parent)

    async def open_alone(self, place: bytes, digest: Digest, parent: int) -> OverlayTree:
        """As `open`, of a layer blob of which nobody knows what is below it; less is right then
        (OverlayForm).  InvalidLayer, BlobNotFound, Damaged."""
        return self._show(place, await self._inside.lone(digest), 0, parent)

    def merged(self, place: bytes) -> RootfsTree | None:
        """As `get`, of several layers merged."""
        tree = self._trees.get(self._number(place))
        if not isinstance(tree, RootfsTree):
            return None
        self._trees.hold(tree)
        return tree

    async def open_merged(self, place: bytes, image: Image, count: int, parent: int) -> RootfsTree:
        """Load the tree of the lowest *count* layers of *image* (at least one), merged: what
        overlayfs makes of them one by one.  Errors as `open`."""
        stacked = await self._inside.stacked(image)
        tree = self.merged(place)
        if tree is None:
            rootfs, layers = stacked.rootfs.lowest(count), stacked.layers[:count]
            digest, recent = layers[-1].layer.digest, self._inside.recent
            tree = RootfsTree(self._number(place), digest, rootfs, layers, parent, recent)
            self._trees.hold(tree)
            for inodes in layers:
                self._tell(inodes.layer)
        return tree

    def _show(self, place: bytes, stacked: Stacked, position: int, parent: int) -> OverlayTree:
        tree = self.get(place)
        if tree is None:
            tree = OverlayTree(self._number(place), stacked, position, parent)
            self._trees.hold(tree)
            self._tell(tree.files.layer)
        return tree

    def _tell(self, layer: Layer) -> None:
        """Log, once, what the layer has and is not shown: a device 0/0 above all, which would be a
        whiteout."""
        refused = layer.toc.refused
        if not refused or layer.digest in self._told or len(self._told) >= _TOLD:
            return
        self._told.add(layer.digest)
        for path, reason in layer.refusals[:_LINES]:
            _log.info("layer %s: %s is not shown: it %s", layer.digest, quote(path), reason)
        if refused > _LINES:
            _log.info("layer %s: %d more are not shown", layer.digest, refused - _LINES)

    def _number(self, place: bytes) -> int:
        return self._numbers.tree(b"overlay" + place)
