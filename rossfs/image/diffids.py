"""Whether stored layers are, uncompressed, what the configs of images say of them.

Only what tables tell already: a layer without one is looked at when it is first used.
"""

from __future__ import annotations

from collections.abc import Iterator

from rossfs.errors import RossfsError
from rossfs.image.arriving import ArrivingLayers
from rossfs.image.configuration import config_of
from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.store.store import Store


def complaints(
    store: Store, layers: ArrivingLayers, digest: Digest, manifest: Manifest
) -> Iterator[str]:
    """What is wrong between the config and the layers of the image *digest*: one line each."""
    if not manifest.is_image:
        return
    try:
        config = config_of(store, manifest)
    except RossfsError as error:
        yield f"image {digest}: {error}"
        return
    if len(config.diff_ids) != len(manifest.layers):
        yield (
            f"image {digest} has {len(manifest.layers)} layers, but its config has "
            f"{len(config.diff_ids)} diff IDs"
        )
        return
    for layer, expected in zip(manifest.layers, config.diff_ids, strict=True):
        actual = layers.diff_id(layer.digest)
        if actual is not None and expected.algorithm == actual.algorithm and actual != expected:
            yield (
                f"layer {layer.digest} of image {digest} is {actual} when uncompressed; the config "
                f"says {expected}"
            )
