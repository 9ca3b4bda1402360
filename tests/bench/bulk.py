"""Large stores, written as Ross writes them, fast and without the code that is measured."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYERS = 10_000
"""Layers of one manifest: about 1.6 MB of JSON, under the limit of 4 MiB."""


def blobs(store: str, count: int) -> list[str]:
    """Write *count* blobs of a few bytes each with their .meta; return their hex digests."""
    directory = f"{store}/blobs/sha256"
    os.makedirs(directory, exist_ok=True)
    names = []
    for number in range(count):
        data = b"blob %d\n" % number
        name = hashlib.sha256(data).hexdigest()
        _put(directory, name, data, LAYER)
        names.append(name)
    return names


def images(store: str, names: list[str]) -> Iterator[str]:
    """Write manifests whose layers are the blobs *names*, all needed; yields their hex digests."""
    config = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
    config_name = hashlib.sha256(config).hexdigest()
    _put(f"{store}/blobs/sha256", config_name, config, CONFIG)
    os.makedirs(f"{store}/manifests/sha256", exist_ok=True)
    for start in range(0, len(names), LAYERS):
        part = enumerate(names[start : start + LAYERS], start)
        layers = [
            {"mediaType": LAYER, "digest": f"sha256:{name}", "size": len(b"blob %d\n" % number)}
            for number, name in part
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": CONFIG,
                "digest": f"sha256:{config_name}",
                "size": len(config),
            },
            "layers": layers,
        }
        data = json.dumps(manifest).encode()
        name = hashlib.sha256(data).hexdigest()
        _put(f"{store}/manifests/sha256", name, data, MANIFEST, schema_version="2")
        yield name


def tags(store: str, name: str, count: int) -> None:
    """Write *count* tags of the manifest *name*, a hundred to a repository."""
    record = json.dumps({"digest_algorithm": "sha256", "digest_hash": name, "updated_at": 1})
    for number in range(count):
        repository = f"{store}/tags/bench/r{number // 100}"
        if number % 100 == 0:
            os.makedirs(repository, exist_ok=True)
        with open(f"{repository}/t{number % 100}", "w") as file:
            file.write(record)


def _put(directory: str, name: str, data: bytes, media_type: str, **more: str) -> None:
    meta = {"media_type": media_type, "size": len(data), "created_at": 1_700_000_000}
    if not more:
        meta["accessed_at"] = 1_700_000_000
    for path, content in ((name, data), (f"{name}.meta", json.dumps(meta | more).encode())):
        fd = os.open(f"{directory}/{path}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(fd, content)
        os.close(fd)
