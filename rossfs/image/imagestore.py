"""Images as containers/storage keeps them: what podman reads of an additional image store.

    overlay-images/images.json     an array of `StoreImage`
    overlay-layers/layers.json     an array of `StoreLayer`

The id of an image is the SHA-256 of its config, that of a layer says what the layer is and what is
below it: the diff ID of the lowest, then sha256(id of the parent + "+" + diff ID).  So manifests
whose layers differ in their compression only are one image.  Times are checked before they are
written, names are unique: podman refuses the whole store for one that it cannot read, and for a
name that comes twice (containers/storage store.go, images.go, layers.go, v1.43).
"""

from __future__ import annotations

import json
import re
from base64 import b32encode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.mediatype import layer_extension

LINK_LENGTH = 26
"""Characters of the short name of a layer (overlay.go, idLength)."""

MOST_BELOW = 24
"""Layers below one that it has one by one: podman gives the kernel a path of each of them in the
mount, on one page (overlay.go), and knows no more than 128.  More are one directory, merged."""

_NO_TIME = "1970-01-01T00:00:00Z"

# archive.Compression (containers/storage pkg/archive).
_COMPRESSIONS = {"tar": 0, "tar.gz": 2, "tar.zst": 4}

_PLAIN_KEY = re.compile(r"[.0-9a-z]+")
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3])(:\d\d:\d\d)(\.\d{1,9})?\d*"
    r"(?:[Zz]|([+-](?:[01]\d|2[0-3]):[0-5]\d))",
    re.ASCII,
)


class BigData(NamedTuple):
    """A document that belongs to an image: its manifests, indexes and its config."""

    key: str
    digest: Digest
    size: int

    @property
    def file_name(self) -> str:
        """Where containers/storage keeps it in the directory of the image (makeBigDataBaseName)."""
        if _PLAIN_KEY.fullmatch(self.key):
            return self.key
        return "=" + b64encode(self.key.encode()).decode()


class StoreImage(NamedTuple):
    """One image."""

    id: str
    digest: Digest
    """Of its manifest; of several, one of them."""
    layer: str
    """The id of the highest layer; empty for an image without layers."""
    created: str
    names: tuple[str, ...]
    data: tuple[BigData, ...]

    def as_json(self) -> dict[str, Any]:
        """The members that images.json has for it."""
        image: dict[str, Any] = {"id": self.id, "digest": str(self.digest)}
        if self.names:
            image["names"] = self.names
        if self.layer:
            image["layer"] = self.layer
        return image | {
            "metadata": "{}",
            "created": self.created,
            "big-data-names": [item.key for item in self.data],
            "big-data-sizes": {item.key: item.size for item in self.data},
            "big-data-digests": {item.key: str(item.digest) for item in self.data},
        }


class StoreLayer(NamedTuple):
    """One layer, in its place above others."""

    id: str
    parent: str
    """The id of the layer below; empty for the lowest."""
    created: str
    diff_id: Digest
    blob: Descriptor
    length: int | None
    """Bytes when it is uncompressed; None if that is not known yet."""
    manifest: Digest
    """An image that has it, with as little above it as possible."""
    position: int
    """How many layers are below it."""
    image_layers: int
    """How many layers that image has."""

    @property
    def link(self) -> str:
        """Its short name in overlay/l/: containers keep it, so it is the same in every mount."""
        return _short(b"rossfs link " + self.id.encode())

    @property
    def merged_link(self) -> str:
        """The same for all layers up to this one, merged."""
        return _short(b"rossfs merged " + self.id.encode())

    def as_json(self) -> dict[str, Any]:
        """The members that layers.json has for it."""
        layer: dict[str, Any] = {"id": self.id}
        if self.parent:
            layer["parent"] = self.parent
        layer |= {
            "created": self.created,
            "compressed-diff-digest": str(self.blob.digest),
            "compressed-size": self.blob.size,
            "diff-digest": str(self.diff_id),
        }
        if self.length is not None:
            layer["diff-size"] = self.length
        compression = _COMPRESSIONS.get(layer_extension(self.blob.media_type), 0)
        return layer | ({"compression": compression} if compression else {})


class ImageStore:
    """What there is to show at one moment.  Never changes."""

    __slots__ = ("images", "images_json", "layers", "layers_json", "links", "merged_links")

    def __init__(self, images: Iterable[StoreImage], layers: Iterable[StoreLayer]) -> None:
        self.images: Mapping[str, StoreImage] = {image.id: image for image in images}
        self.layers: Mapping[str, StoreLayer] = {layer.id: layer for layer in layers}
        self.links: Mapping[str, str] = {layer.link: layer.id for layer in self.layers.values()}
        self.merged_links: Mapping[str, str] = {
            layer.merged_link: layer.id
            for layer in self.layers.values()
            if layer.position >= MOST_BELOW
        }
        self.images_json = _array(image.as_json() for image in self.images.values())
        self.layers_json = _array(layer.as_json() for layer in self.layers.values())

    def chain(self, layer: StoreLayer) -> list[StoreLayer]:
        """*layer* and those below it, the lowest first."""
        found = [layer]
        while found[-1].parent:
            found.append(self.layers[found[-1].parent])
        return found[::-1]

    def lower(self, layer: StoreLayer) -> bytes:
        """The text of overlay/<id>/lower, the nearest first; empty for the lowest layer."""
        below = self.chain(layer)[-2::-1]
        if len(below) > MOST_BELOW:
            return f"l/{below[0].merged_link}".encode()
        return ":".join(f"l/{one.link}" for one in below).encode()


def layer_ids(diff_ids: Sequence[Digest]) -> Iterator[str]:
    """The id of each layer of an image (containers/image storage_dest.go, computeNextLayerID)."""
    above = ""
    for diff_id in diff_ids:
        text = f"{above}+{diff_id.hex}".encode()
        above = sha256(text).hexdigest() if above else diff_id.hex
        yield above


def _short(text: bytes) -> str:
    return b32encode(sha256(text).digest()).decode()[:LINK_LENGTH]


def go_time(text: str | None) -> str:
    """*text*, a time of RFC 3339, as every version of Go reads it; 1970 if it is none."""
    parts = _TIME.fullmatch(text or "")
    if parts is None:
        return _NO_TIME
    date, hour, rest, fraction, zone = parts.groups()
    try:
        datetime.fromisoformat(f"{date}T{hour}{rest}")
    except ValueError:
        return _NO_TIME
    return f"{date}T{hour}{rest}{fraction or ''}{zone or 'Z'}"


def _array(items: Iterable[dict[str, Any]]) -> bytes:
    """A JSON array with one item a line."""
    lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)
    return f"[{lines}]\n".encode()
