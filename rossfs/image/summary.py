"""What an image is, in one line: for whom, and how large."""

from __future__ import annotations

from typing import NamedTuple

from rossfs.errors import RossfsError
from rossfs.image.configuration import config_of
from rossfs.image.resolve import DEPTH
from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.oci.recognise import parse_as
from rossfs.store.store import Store


class Summary(NamedTuple):
    """One manifest or index."""

    digest: Digest
    media_type: str
    platforms: tuple[str, ...]
    """Of the images that are stored; empty for what is no image."""
    size: int
    """Bytes of all content that is stored of it, each once."""


def summarise(store: Store, digest: Digest) -> Summary:
    """Look at the manifest or index *digest* and what it names.

    ManifestNotFound, Damaged or InvalidDocument for itself; what is missing or damaged below it is
    left out.
    """
    sizes: dict[Digest, int] = {}
    platforms: dict[str, None] = {}
    media_type = _visit(store, digest, sizes, platforms, 0)
    return Summary(digest, media_type, tuple(platforms), sum(sizes.values()))


def _visit(
    store: Store,
    digest: Digest,
    sizes: dict[Digest, int],
    platforms: dict[str, None],
    depth: int,
) -> str:
    data, media_type = store.get_manifest(digest)
    sizes[digest] = len(data)
    value = parse_as(data, media_type)
    if isinstance(value, Manifest):
        for descriptor in value.references():
            info = store.stat_blob(descriptor.digest)
            if info is not None:
                sizes[descriptor.digest] = info.size
        platform = _platform(store, value)
        if platform:
            platforms[platform] = None
    elif depth < DEPTH:
        for item in value.manifests:
            if item.digest in sizes:
                continue
            try:
                _visit(store, item.digest, sizes, platforms, depth + 1)
            except RossfsError:
                continue
    return media_type


def _platform(store: Store, manifest: Manifest) -> str:
    """What the image runs on, by its config; empty for what is no image."""
    if not manifest.is_image:
        return ""
    try:
        platform = config_of(store, manifest).platform
    except RossfsError:
        return ""
    return "" if platform is None else str(platform)
