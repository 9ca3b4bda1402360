"""From a digest to the image that it means here: a manifest, or through an index the manifest of a
platform.

Nothing is cached: callers keep what they need.  The store checks every document against its digest
before it is parsed.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from rossfs.errors import ManifestNotFound
from rossfs.oci.digest import Digest
from rossfs.oci.index import Index
from rossfs.oci.manifest import Manifest
from rossfs.oci.platform import Platform
from rossfs.oci.recognise import parse_as

DEPTH = 8
"""Indexes within indexes that are followed: real ones have one level, seldom two."""


class Manifests(Protocol):
    """What is needed of a store."""

    def get_manifest(self, digest: Digest) -> tuple[bytes, str]:
        """The checked bytes and the media type of a manifest or index; raises ManifestNotFound and
        Damaged."""


class Document(NamedTuple):
    """A stored manifest or index: its bytes, and what they say."""

    digest: Digest
    media_type: str
    data: bytes
    value: Manifest | Index


class Image(NamedTuple):
    """A stored manifest: its bytes, and what they say."""

    digest: Digest
    media_type: str
    data: bytes
    manifest: Manifest


def read(store: Manifests, digest: Digest) -> Document:
    """The manifest or index *digest*.

    ManifestNotFound, Damaged, or InvalidDocument for bytes that are neither.
    """
    data, media_type = store.get_manifest(digest)
    return Document(digest, media_type, data, parse_as(data, media_type))


class Choice(NamedTuple):
    """What a document means on one platform: one of the two, or neither where an index has nothing
    for the platform."""

    image: Image | None
    missing: Digest | None
    """What an index chooses, and what is not stored."""


def choose(store: Manifests, document: Document, platform: Platform) -> Choice:
    """What *document* means on *platform*; a manifest means itself.

    Damaged or InvalidDocument if what an index chooses cannot be used.
    """
    for _ in range(DEPTH):
        if isinstance(document.value, Manifest):
            return Choice(
                Image(document.digest, document.media_type, document.data, document.value), None
            )
        chosen = document.value.choose(platform)
        if chosen is None:
            break
        try:
            document = read(store, chosen.digest)
        except ManifestNotFound:
            return Choice(None, chosen.digest)
    return Choice(None, None)


def resolve(store: Manifests, digest: Digest, platform: Platform) -> Image:
    """The image that *digest*, a manifest or an index, means on *platform*.

    ManifestNotFound if it is not stored, or an index that has none for the platform or whose choice
    is not stored; Damaged, InvalidDocument.
    """
    image, missing = choose(store, read(store, digest), platform)
    if image is not None:
        return image
    if missing is not None:
        raise ManifestNotFound(f"{missing}, the manifest for {platform} of {digest}, is not stored")
    raise ManifestNotFound(f"index {digest} has no manifest for {platform}")
