"""images/sha256/<hex>/layers/: the layers of one image, bottom first.

    <nn>-<12 hex>.tar.gz    symlink to the layer's blob; the extension follows the media type
    <nn>-<12 hex>/          the layer as a directory (layerview.py), opened when it is looked up
    <nn>-<12 hex>.tar       the layer uncompressed (layertar.py), likewise; not where this is the
                            name of the link, since the blob is no more than a tar

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

TAR = b".tar"


class LayersDirectory(Directory):
    """layers/ of one image; *number* gives inode numbers."""

    __slots__ = (
        "_awaited",
        "_links",
        "_modified_ns",
        "_packed",
        "_positions",
        "_shown",
        "_tars",
        "_trees",
    )

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
        """Of directories."""
        self._packed: dict[bytes, int] = {}
        """Of files that are uncompressed layers."""
        self._tars: dict[bytes, Node] = {}
        """Those that were opened."""
        self._awaited = b""
        path = shown.place.raw + b"/layers/"
        for position, (stem, layer) in enumerate(stems(shown.image.manifest.layers)):
            name = b"%b.%b" % (stem, layer_extension(layer.media_type).encode())
            text = f"../../../../blobs/{layer.digest.algorithm}/{layer.digest.hex}".encode()
            self._links[name] = FixedSymlink(number(path + name), text, modified_ns)
            if is_layer(shown, layer):
                self._positions[stem] = position
                if stem + TAR != name:
                    self._packed[stem + TAR] = position

    def attr(self) -> Attr:
        return Attr.dated(stat.S_IFDIR | 0o555, self._modified_ns)

    def lookup(self, name: bytes) -> Node | None:
        node = self._links.get(name) or self._tars.get(name)
        if node is not None:
            return node
        position = self._positions.get(name)
        if position is not None:
            tree = self._trees.layer(self._shown, position)
            if tree is not None:
                return tree.root
        elif name not in self._packed:
            return None
        self._awaited = name
        raise Unsettled

    def entries(self) -> Listing:
        """Directories and uncompressed layers by name only: listing them must not open all layers.
        One whose layer is not stored is left out, or walks would end in an error."""
        entries = [Entry(name, node) for name, node in self._links.items()]
        shown, trees = self._shown, self._trees
        for name, position in self._positions.items():
            if trees.stored(shown.image.manifest.layers[position].digest):
                entries.append(Entry(name, None, stat.S_IFDIR, trees.layer_ino(shown, position)))
                if name + TAR in self._packed:
                    ino = trees.tar_ino(shown, position)
                    entries.append(Entry(name + TAR, None, stat.S_IFREG, ino))
        return Entries(sorted(entries, key=lambda entry: entry.name))

    async def settle(self) -> None:
        """Open the layer that was looked for."""
        # No await since lookup: it is the one that this caller wants.
        name = self._awaited
        position = self._packed.get(name)
        if position is None:
            await self._trees.open_layer(self._shown, self._positions[name])
        else:
            self._tars[name] = await self._trees.open_tar(self._shown, position)


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
