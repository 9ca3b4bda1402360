"""images/sha256/<hex>/layers/: the layers of one image, bottom first.

    <nn>-<12 hex>.tar.gz    symlink to the layer's blob; the extension follows the media type
    <nn>-<12 hex>/          the layer as a directory (layerview.py), opened when it is looked up

A layer that is not stored (foreign layers may be missing) is a link to nothing: the name tells the
position and the digest all the same.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from rossfs.oci.descriptor import Descriptor
from rossfs.oci.mediatype import layer_extension
from rossfs.tree.imagetrees import ImageTrees, Shown
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
from rossfs.tree.static import FixedSymlink


class LayersDirectory(Directory):
    """layers/ of one image; *number* gives inode numbers."""

    __slots__ = ("_awaited", "_links", "_modified_ns", "_positions", "_shown", "_trees")

    ttl: ClassVar[float] = FOREVER
    negative_ttl: ClassVar[float] = FOREVER
    constant: ClassVar[bool] = True

    def __init__(
        self, shown: Shown, trees: ImageTrees, number: Callable[[bytes], int], modified_ns: int
    ) -> None:
        super().__init__(shown.layers_ino)
        self._shown = shown
        self._trees = trees
        self._modified_ns = modified_ns
        self._links: dict[bytes, Node] = {}
        self._positions: dict[bytes, int] = {}
        self._awaited = 0
        path = shown.place.raw + b"/layers/"
        for position, (stem, layer) in enumerate(stems(shown.image.manifest.layers)):
            name = b"%b.%b" % (stem, layer_extension(layer.media_type).encode())
            text = f"../../../../blobs/{layer.digest.algorithm}/{layer.digest.hex}".encode()
            self._links[name] = FixedSymlink(number(path + name), text, modified_ns)
            if is_layer(shown, layer):
                self._positions[stem] = position

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self._modified_ns)

    def lookup(self, name: bytes) -> Node | None:
        link = self._links.get(name)
        if link is not None:
            return link
        position = self._positions.get(name)
        if position is None:
            return None
        tree = self._trees.layer(self._shown, position)
        if tree is None:
            self._awaited = position
            raise Unsettled
        return tree.root

    def entries(self) -> Listing:
        """Directories by name only: listing them must not open all layers.  One whose layer is not
        stored is left out, or walks would end in an error."""
        entries = [Entry(name, node) for name, node in self._links.items()]
        for name, position in self._positions.items():
            if self._trees.stored(self._shown.image.manifest.layers[position].digest):
                ino = self._trees.layer_ino(self._shown, position)
                entries.append(Entry(name, None, stat.S_IFDIR, ino))
        return Entries(sorted(entries, key=lambda entry: entry.name))

    async def settle(self) -> None:
        """Open the layer that was looked for."""
        # No await since lookup: it is the one that this caller wants.
        await self._trees.open_layer(self._shown, self._awaited)


def is_layer(shown: Shown, layer: Descriptor) -> bool:
    """Whether a layer of a manifest can be a directory: what an artifact carries may be anything,
    and is one if its media type says so."""
    return shown.image.manifest.is_image or layer_extension(layer.media_type).startswith("tar")


def stems(layers: Sequence[Descriptor]) -> Iterator[tuple[bytes, Descriptor]]:
    """Each layer with the part of its name that all its forms share: `00-0123456789ab`.

    As many digits as the last position needs, at least two, so that names sort bottom first.
    """
    width = max(2, len(str(len(layers) - 1)))
    for position, layer in enumerate(layers):
        yield f"{position:0{width}}-{layer.digest.hex[:12]}".encode(), layer
