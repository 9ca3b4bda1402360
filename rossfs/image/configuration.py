"""The config of an image, read from the store."""

from __future__ import annotations

from rossfs.errors import InvalidDocument
from rossfs.image.resolve import Image
from rossfs.oci.config import Config
from rossfs.store.store import Store

CONFIG_LIMIT = 4 << 20
"""Bytes of a config that is read."""


def read_config(store: Store, image: Image) -> Config:
    """The config of *image*.

    BlobNotFound, Damaged; InvalidDocument if it is none, or has more than 4 MiB.
    """
    digest = image.manifest.config.digest
    with store.open_blob(digest) as reader:
        if reader.size > CONFIG_LIMIT:
            raise InvalidDocument(f"{digest} is too long for a config: {reader.size} bytes")
        data = reader.read()
    return Config.parse(data, f"config {digest}")
