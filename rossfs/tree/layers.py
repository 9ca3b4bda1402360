"""images/sha256/<hex>/layers/: the layers of one image, bottom first.

    <nn>-<12 hex>.tar.gz    symlink to the layer's blob; the extension follows the media type

A layer that is not stored (foreign layers may be missing) is a link to nothing: the name tells the
position and the digest all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import layer_extension
from rossfs.tree.node import Node
from rossfs.tree.static import FixedSymlink, StaticDirectory


def layers_directory(
    image: Digest,
    layers: Sequence[Descriptor],
    number: Callable[[bytes], int],
    modified_ns: int,
) -> StaticDirectory:
    """The directory of *layers* in the directory of *image*; *number* gives inode numbers."""
    path = image.raw + b"/layers"
    children: dict[bytes, Node] = {}
    for stem, layer in stems(layers):
        name = b"%b.%b" % (stem, layer_extension(layer.media_type).encode())
        text = f"../../../../blobs/{layer.digest.algorithm}/{layer.digest.hex}".encode()
        children[name] = FixedSymlink(number(path + b"/" + name), text, modified_ns)
    return StaticDirectory(number(path), children, modified_ns)


def stems(layers: Sequence[Descriptor]) -> Iterator[tuple[bytes, Descriptor]]:
    """Each layer with the part of its name that all its forms share: `00-0123456789ab`.

    As many digits as the last position needs, at least two, so that names sort bottom first.
    """
    width = max(2, len(str(len(layers) - 1)))
    for position, layer in enumerate(layers):
        yield f"{position:0{width}}-{layer.digest.hex[:12]}".encode(), layer
