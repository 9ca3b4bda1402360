"""An image opened for looking inside: its layers, and the root filesystem that they make.

What an OpenedImage holds was checked: the config has one diff ID for each layer of the manifest,
and each layer is, uncompressed, what its diff ID says (image-spec config.md, "Layer DiffID").
Nothing is kept here, so nothing is left by a crash; tables that were made on the way are the
cache's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rossfs.errors import DiffIdMismatch, InvalidLayer, UsageError
from rossfs.image.configuration import read_config
from rossfs.image.layer import Layer
from rossfs.image.layers import Layers
from rossfs.image.resolve import Image
from rossfs.image.rootfs import Rootfs
from rossfs.image.workers import Workers
from rossfs.oci.config import Config, History
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.store.store import Store

MAX_LAYERS = 1023
"""Layers of one root filesystem: with MAX_RECORDS what an inode number has room for."""

MAX_RECORDS = 1 << 30
"""Entries of one layer."""


class OpenedImage(NamedTuple):
    """An image and what is in it."""

    image: Image
    config: Config
    layers: tuple[Layer, ...]
    """The bottom first, as the manifest has them; a layer that it names twice is here twice."""
    history: tuple[History | None, ...]
    """The step that made each layer; None where the config names none."""
    rootfs: Rootfs


def open_rootfs(store: Store, layers: Layers, image: Image) -> OpenedImage:
    """Open all layers of *image* and merge them.  May take long: tables that do not exist are made,
    two layers at a time.

    UsageError if it is no image but an artifact; DiffIdMismatch if the config and the layers do not
    belong together; InvalidLayer, also for more layers or entries than can be numbered;
    BlobNotFound, Damaged, InvalidDocument.
    """
    if not image.manifest.is_image:
        raise UsageError(f"{image.digest} is no image: it has no root filesystem")
    config = read_config(store, image)
    _check_counts(image.digest, len(image.manifest.layers), len(config.diff_ids))
    opened = _open(layers, image.manifest.layers)
    for layer, diff_id in zip(opened, config.diff_ids, strict=True):
        if layer.toc.count > MAX_RECORDS:
            raise InvalidLayer(f"layer {layer.digest} has more than {MAX_RECORDS} entries")
        layers.check_diff_id(layer, diff_id)
    return OpenedImage(image, config, tuple(opened), config.layer_history(), Rootfs(opened))


def _check_counts(digest: Digest, layers: int, diff_ids: int) -> None:
    if layers != diff_ids:
        raise DiffIdMismatch(
            f"image {digest} has {layers} layers, but its config has {diff_ids} diff IDs"
        )
    if layers > MAX_LAYERS:
        raise InvalidLayer(f"image {digest} has {layers} layers; at most {MAX_LAYERS} can be shown")


def _open(layers: Layers, descriptors: Sequence[Descriptor]) -> list[Layer]:
    """Each layer of *descriptors*, in their order."""
    opened: dict[Digest, Layer] = {}
    lock = threading.Lock()

    def job(digest: Digest) -> Callable[[], None]:
        def run() -> None:
            layer = layers.open(digest)
            with lock:
                opened[digest] = layer

        return run

    # The largest first, so that no long one is left to the end.
    largest = sorted(descriptors, key=lambda descriptor: -descriptor.size)
    Workers().run(job(digest) for digest in dict.fromkeys(layer.digest for layer in largest))
    return [opened[descriptor.digest] for descriptor in descriptors]
