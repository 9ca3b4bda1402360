"""A store of Ross with one of each kind of content in it."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
from pathlib import Path
from typing import NamedTuple

from rossfs.oci.digest import Digest
from tests import builders
from tests.builders import Image, RossStore, compact, descriptor, digest_of
from tests.mounts import Mounted

ARTIFACT_CONFIG = "application/vnd.example.chart.config"
CHART = "application/vnd.example.chart"

BIG = (5 << 20) + 12345
"""Bytes of the largest blob: five read requests and a piece."""


class Gallery(NamedTuple):
    """What is where."""

    store: RossStore
    app: Image
    """library/app:latest, of OCI for amd64."""
    arm: Image
    docker: Image
    """localhost:5000/team/app:v1.2_3-x, of Docker."""
    multi: Digest
    """lab/multi:v1, an index with amd64, arm64, and riscv64 that is not stored."""
    manifest_list: Digest
    """lab/multi/docker:v1, a list of Docker that lies in manifests/ only, as Ross files it."""
    windows: Digest
    """lab/windows:v1, an image whose first layer is foreign and not stored."""
    chart: Digest
    """lab/chart:v1, a manifest that is no image."""
    big: Digest
    empty: Digest
    unfinished: Digest
    """A blob that has no .meta."""
    unreadable: Digest
    """A blob whose .meta is no JSON."""
    long: Digest
    """A blob under sha512."""


def big_bytes() -> bytes:
    """The content of the largest blob."""
    return random.Random(1).randbytes(BIG)


def gallery(root: Path) -> Gallery:
    """Make the store in *root*."""
    store = builders.ross_store(root)
    app = builders.image(store, "app", tag="library/app:latest")
    arm = builders.image(store, "arm", architecture="arm64")
    docker = builders.image(store, "old", tag="localhost:5000/team/app:v1.2_3-x", docker=True)
    absent = builders.image_parts("absent", architecture="riscv64")
    data = builders.index(
        [
            (app.parts.manifest, "linux/amd64"),
            (arm.parts.manifest, "linux/arm64/v8"),
            (absent.manifest, "linux/riscv64"),
        ]
    )
    multi = store.put_index(data)
    for suffix in ("", ".meta"):  # as Ross and rossfs find it: in manifests/ too
        os.link(
            root / f"indexes/sha256/{multi.hex}{suffix}",
            root / f"manifests/sha256/{multi.hex}{suffix}",
        )
    store.set_tag("lab/multi", "v1", multi)
    manifest_list = store.put_manifest(
        builders.index([(docker.parts.manifest, "linux/amd64")], docker=True), builders.DOCKER_LIST
    )
    store.set_tag("lab/multi/docker", "v1", manifest_list)
    gallery = Gallery(
        store,
        app,
        arm,
        docker,
        multi,
        manifest_list,
        _windows(store),
        _chart(store),
        store.put_blob(builders.OCTET_STREAM, big_bytes()),
        store.put_blob(builders.OCTET_STREAM, b""),
        store.put_blob(builders.OCTET_STREAM, b"no meta", meta=False),
        store.put_blob(builders.OCTET_STREAM, b"bad meta"),
        _long(root, b"under sha512"),
    )
    store.meta_path(gallery.unreadable).write_bytes(b'{"media_type": "appl')
    return gallery


def _windows(store: RossStore) -> Digest:
    base = builders.layer({"Windows": None})
    top = builders.layer({"app.exe": b"MZ"})
    diff_ids = [str(digest_of(gzip.decompress(layer))) for layer in (base, top)]
    config = builders.config(diff_ids, architecture="amd64", system="windows")
    store.put_blob(builders.DOCKER_CONFIG, config)
    store.put_blob(builders.DOCKER_LAYER, top)
    data = builders.manifest(
        config,
        [base, top],
        docker=True,
        layer_types=[builders.DOCKER_FOREIGN, builders.DOCKER_LAYER],
    )
    digest = store.put_manifest(data, builders.DOCKER_MANIFEST)
    store.set_tag("lab/windows", "v1", digest)
    return digest


def _chart(store: RossStore) -> Digest:
    config, content = b"name: chart\n", b"chart, packed"
    store.put_blob(ARTIFACT_CONFIG, config)
    store.put_blob(CHART, content)
    data = compact(
        {
            "schemaVersion": 2,
            "mediaType": builders.OCI_MANIFEST,
            "artifactType": CHART,
            "config": descriptor(config, ARTIFACT_CONFIG),
            "layers": [descriptor(content, CHART)],
        }
    )
    digest = store.put_manifest(data)
    store.set_tag("lab/chart", "v1", digest)
    return digest


def _long(root: Path, data: bytes) -> Digest:
    name = hashlib.sha512(data).hexdigest()
    directory = root / "blobs/sha512"
    directory.mkdir()
    (directory / name).write_bytes(data)
    record = {
        "media_type": builders.OCTET_STREAM,
        "size": len(data),
        "created_at": builders.CREATED,
        "accessed_at": builders.CREATED,
    }
    (directory / f"{name}.meta").write_bytes(compact(record))
    return Digest("sha512", name)


class Shown:
    """A gallery and a mount."""

    def __init__(self, content: Gallery, mounted: Mounted) -> None:
        self.content = content
        self.mounted = mounted
        self.path = mounted.path

    def blob(self, digest: Digest) -> Path:
        """The file of a digest."""
        return self.path / "blobs" / digest.algorithm / digest.hex

    def image(self, digest: Digest) -> Path:
        """The directory of an image."""
        return self.path / "images" / digest.algorithm / digest.hex
