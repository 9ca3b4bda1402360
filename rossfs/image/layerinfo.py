"""What containers/storage wants to know of a layer, in its own words (layers.go, type Layer).

    compressed-diff-digest, compressed-size     of the blob, bytes
    diff-digest, diff-size                      of the uncompressed tar: the diff ID, bytes
    compression                                 a number (pkg/archive/archive.go)
    toc-digest, flags                           for who asked by the digest of the table of contents

`info` of an additional layer store is a JSON object of these; podman computes the id of the layer
from diff-digest, so it is that of the bytes and not of anybody's word.
"""

from __future__ import annotations

import json
from typing import Any

from rossfs.image.compression import Compression, detect
from rossfs.image.layer import Layer
from rossfs.oci.digest import Digest

NUMBERS = {
    Compression.PLAIN: 0,
    Compression.BZIP2: 1,
    Compression.GZIP: 2,
    Compression.XZ: 3,
    Compression.ZSTD: 4,
}
"""How containers/storage numbers compressions."""


def layer_fields(layer: Layer, head: bytes) -> dict[str, Any]:
    """The fields that every layer has.  *head*: the first bytes of its blob
    (compression.HEAD)."""
    return {
        "compressed-diff-digest": str(layer.digest),
        "compressed-size": layer.size,
        "diff-digest": str(layer.diff_id),
        "diff-size": layer.toc.length,
        "compression": NUMBERS[detect(head)],
    }


def layer_info(layer: Layer, head: bytes, toc: Digest | None = None) -> bytes:
    """The text of `info`.  *toc*: the digest of the table of contents by which it was asked for."""
    fields = layer_fields(layer, head)
    if toc is not None:
        fields["toc-digest"] = str(toc)
        fields["flags"] = {"expected-layer-diffid": str(layer.diff_id)}
    return json.dumps(fields, separators=(",", ":")).encode()
