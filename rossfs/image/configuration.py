"""The config of an image, read from the store."""

from __future__ import annotations

from rossfs.errors import InvalidDocument
from rossfs.image.resolve import Image
from rossfs.oci.config import Config
from rossfs.oci.document import MAX_BYTES
from rossfs.oci.manifest import Manifest
from rossfs.store.store import Store


def read_config(store: Store, image: Image) -> Config:
    """The config of *image*; errors as `config_of`."""
    return config_of(store, image.manifest)


def config_of(store: Store, manifest: Manifest) -> Config:
    """The config of the image that *manifest* is.

    BlobNotFound, Damaged; InvalidDocument if it is none, or has more than 4 MiB.
    """
    digest = manifest.config.digest
    with store.open_blob(digest) as reader:
        if reader.size > MAX_BYTES:
            raise InvalidDocument(f"{digest} is too long for a config: {reader.size} bytes")
        data = reader.read()
    return Config.parse(data, f"config {digest}")
