"""The archives of an image that nobody writes: what they consist of (ondemand.py).

    oci archive      what `rossfs export DIGEST oci-archive:FILE` writes, byte for byte: the layout
                     of a manifest or of an index, with all that is stored of it
    docker archive   what `docker save` and `podman save` write of one image: manifest.json,
                     <hex>.json, and each layer uncompressed as <hex of its diff ID>.tar

A directory by digest never changes, and tags do: so nothing here has a name (RepoTags is null, as
in what `docker save` writes of an image that is given by its ID), and who loads one says the name.
docker, podman and skopeo need none of the older fields (VERSION, json, repositories).

A layer that comes twice is in a docker archive once (containers/image refuses one path for two diff
IDs, and reads one diff ID once).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rossfs.errors import BlobNotFound, ManifestNotFound
from rossfs.image.complete import gather
from rossfs.image.layers import Layers
from rossfs.image.ondemand import Kind, Part, Recipe, Stored
from rossfs.image.opened import open_rootfs
from rossfs.image.resolve import resolve
from rossfs.image.tarframe import TarFrame
from rossfs.oci.digest import Digest
from rossfs.oci.document import compact
from rossfs.oci.layout import INDEX_FILE, LAYOUT_DOCUMENT, LAYOUT_FILE, blob_path
from rossfs.oci.platform import Platform
from rossfs.store.store import Store

_DOCKER_FILE = "manifest.json"


class Computed(NamedTuple):
    """One archive."""

    recipe: Recipe
    absent: tuple[Digest, ...]
    """What is not stored now and would be in it; the archive is another one when it is."""


def oci_archive(store: Store, digest: Digest) -> Computed:
    """The manifest or index *digest* and all it needs, as an archive of an image layout.

    ManifestNotFound, MissingContent; Damaged, InvalidDocument.  May take long, where a blob has to
    be hashed to tell what it is.
    """
    contents = gather(store, digest)
    index = {"schemaVersion": 2, "manifests": [contents.top.entry()]}
    files: list[tuple[str, Part]] = [(LAYOUT_FILE, LAYOUT_DOCUMENT), (INDEX_FILE, compact(index))]
    files += [
        (blob_path(document.digest), Stored(Kind.DOCUMENT, document.digest, document.size))
        for document in contents.documents
    ]
    files += [
        (blob_path(blob.digest), Stored(Kind.BLOB, blob.digest, blob.size))
        for blob in contents.blobs
    ]
    return Computed(Recipe(_archived(files)), contents.absent)


def docker_archive(layers: Layers, digest: Digest, platform: Platform) -> Computed:
    """The image that *digest* means on *platform*, as `docker load` takes it.

    ManifestNotFound if there is none, or it is an artifact; errors as image.opened.open_rootfs.
    Makes the tables of all its layers, which may take long.
    """
    store = layers.store
    image = resolve(store, digest, platform)
    if not image.manifest.is_image:
        raise ManifestNotFound(f"{image.digest} is no image that could be loaded")
    opened = open_rootfs(store, layers, image)
    config = store.contents.settle(image.manifest.config.digest)
    if config is None:
        raise BlobNotFound(f"config {image.manifest.config.digest} is no longer stored")
    config_path = f"{config.digest.hex}.json"
    paths = [f"{diff_id.hex}.tar" for diff_id in opened.config.diff_ids]
    manifest = compact([{"Config": config_path, "RepoTags": None, "Layers": paths}])
    files: dict[str, Part] = {
        _DOCKER_FILE: manifest,
        config_path: Stored(Kind.BLOB, config.digest, config.size),
    }
    for path, layer in zip(paths, opened.layers, strict=True):
        files.setdefault(path, Stored(Kind.LAYER, layer.digest, layer.toc.length))
    return Computed(Recipe(_archived(files.items())), ())


def _archived(files: Iterable[tuple[str, Part]]) -> Iterator[Part]:
    frame = TarFrame()
    for path, part in files:
        size = len(part) if isinstance(part, bytes) else part.size
        yield frame.before(path, size)
        yield part
        yield frame.after(size)
    yield frame.end()
