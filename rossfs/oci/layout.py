"""An OCI image layout: its names, and the documents that every layout has.

Source: image-spec image-layout.md and annotations.md.  A layout is a directory with `oci-layout`,
`index.json` and `blobs/<algorithm>/<hex>`; a tag in it is the annotation REF_NAME on a descriptor
in `index.json`.
"""

from __future__ import annotations

from collections.abc import Iterable

from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.document import compact
from rossfs.oci.mediatype import OCI_INDEX

LAYOUT_FILE = "oci-layout"
LAYOUT_DOCUMENT = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_FILE = "index.json"
BLOBS = "blobs"
REF_NAME = "org.opencontainers.image.ref.name"


def blob_path(digest: Digest) -> str:
    """Return where content lies in a layout: `blobs/sha256/<hex>`."""
    return f"{BLOBS}/{digest.algorithm}/{digest.hex}"


def new_index(descriptors: Iterable[Descriptor]) -> bytes:
    """Return an `index.json` that lists *descriptors* in their order."""
    return compact(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [descriptor.as_json() for descriptor in descriptors],
        }
    )
