"""What the tests of collection share: what lies in a store, and what an image is in one."""

import os

from tests.builders import (
    ImageParts,
    RossStore,
    digest_of,
)

DEADLINE = 60.0
EMPTY_CONFIG = b"{}"


def stored(ross: RossStore) -> set[str]:
    """All content and .meta, as area/name."""
    return {
        f"{area}/{name}"
        for area in ("blobs", "manifests", "indexes")
        for name in os.listdir(ross.root / area / "sha256")
    }


def files_of(parts: ImageParts) -> set[str]:
    """What an image is in a store."""
    blobs = {f"blobs/{digest_of(data).hex}" for _, data in parts.blobs()}
    content = {f"manifests/{parts.digest.hex}", *blobs}
    return content | {f"{path}.meta" for path in content}


def put(ross: RossStore, *images: ImageParts) -> None:
    for parts in images:
        for media_type, data in parts.blobs():
            ross.put_blob(media_type, data)
        ross.put_manifest(parts.manifest, parts.media_type)
