"""Small real content for tests, made without the code under test.

`RossStore` writes a store byte by byte as Ross does: plain files and JSON, in place, no lock.  The
functions make what image tools make: tar layers, configs, manifests, indexes, of OCI and of Docker.
Everything is deterministic, so a test that fails fails again.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from rossfs.oci.digest import Digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
OCTET_STREAM = "application/octet-stream"

CREATED = 1699564800
"""The time that content of these tests has when no other is given: Ross's own example."""


def digest_of(data: bytes, algorithm: str = "sha256") -> Digest:
    """The digest of *data*, by hashlib."""
    return Digest(algorithm, hashlib.new(algorithm, data).hexdigest())


def compact(document: object) -> bytes:
    """JSON as serde_json::to_string writes it: no spaces."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def tar(files: Mapping[str, bytes | None]) -> bytes:
    """A tar archive of *files*: path to content, None for a directory."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.mtime = CREATED
            if data is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            else:
                member.size, member.mode = len(data), 0o644
                archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def layer(files: Mapping[str, bytes | None]) -> bytes:
    """A gzip layer of *files* as `tar`."""
    return gzip.compress(tar(files), mtime=0)


def config(
    diff_ids: Iterable[str],
    *,
    architecture: str = "amd64",
    system: str = "linux",
    variant: str = "",
) -> bytes:
    """An image config with one step of history for each layer."""
    diff_ids = list(diff_ids)
    document: dict[str, object] = {
        "created": "2023-11-09T21:20:00Z",
        "architecture": architecture,
        "os": system,
        "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [
            {"created": "2023-11-09T21:20:00Z", "created_by": f"COPY step {number}"}
            for number, _ in enumerate(diff_ids)
        ],
    }
    if variant:
        document["variant"] = variant
    return compact(document)


def descriptor(data: bytes, media_type: str, **more: object) -> dict[str, object]:
    """The descriptor of *data*."""
    return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data), **more}


def manifest(
    config_data: bytes,
    layers: Sequence[bytes],
    *,
    docker: bool = False,
    layer_types: Sequence[str] | None = None,
    **more: object,
) -> bytes:
    """An image manifest of OCI, or of Docker schema 2."""
    kind, config_type, layer_type = (
        (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)
        if docker
        else (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER_GZIP)
    )
    types = layer_types or [layer_type] * len(layers)
    return compact(
        {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": descriptor(config_data, config_type),
            "layers": [
                descriptor(data, of_type) for data, of_type in zip(layers, types, strict=True)
            ],
            **more,
        }
    )


def index(manifests: Iterable[tuple[bytes, str]], *, docker: bool = False, **more: object) -> bytes:
    """An image index of OCI, or a manifest list of Docker, of (manifest, "os/arch[/variant]")."""
    entries = []
    for data, platform in manifests:
        system, architecture, *variant = platform.split("/")
        described = {"architecture": architecture, "os": system}
        if variant:
            described["variant"] = variant[0]
        entries.append(
            descriptor(data, DOCKER_MANIFEST if docker else OCI_MANIFEST, platform=described)
        )
    return compact(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_LIST if docker else OCI_INDEX,
            "manifests": entries,
            **more,
        }
    )


class ImageParts(NamedTuple):
    """The bytes of one image."""

    manifest: bytes
    config: bytes
    layers: tuple[bytes, ...]
    docker: bool

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return digest_of(self.manifest)

    @property
    def media_type(self) -> str:
        """The media type of the manifest."""
        return DOCKER_MANIFEST if self.docker else OCI_MANIFEST

    def blobs(self) -> Iterable[tuple[str, bytes]]:
        """(media type, bytes) of the config and the layers."""
        yield (DOCKER_CONFIG if self.docker else OCI_CONFIG), self.config
        for data in self.layers:
            yield (DOCKER_LAYER if self.docker else OCI_LAYER_GZIP), data


def image_parts(
    name: str = "app", *, layers: int = 2, architecture: str = "amd64", docker: bool = False
) -> ImageParts:
    """The bytes of an image whose content depends on all arguments."""
    tars = [
        tar({"etc": None, "etc/os-release": f"NAME={name}\nLAYER={number}\n".encode()})
        for number in range(layers)
    ]
    packed = tuple(gzip.compress(data, mtime=0) for data in tars)
    config_data = config(
        [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in tars], architecture=architecture
    )
    return ImageParts(manifest(config_data, packed, docker=docker), config_data, packed, docker)


class Image(NamedTuple):
    """The digests of one stored image."""

    manifest: Digest
    config: Digest
    layers: tuple[Digest, ...]
    parts: ImageParts


class Putter(Protocol):
    """What `image` needs of a store: `RossStore` has it, and rossfs.store.store.Store."""

    def put_blob(self, media_type: str, data: bytes, /) -> object: ...

    def put_manifest(self, content: bytes, media_type: str, /) -> object: ...

    def set_tag(self, repository: str, tag: str, digest: Digest, /) -> object: ...


def set_tag(store: Putter, tag: str, digest: Digest) -> None:
    """Let the tag "repository:tag" name *digest*."""
    repository, _, short = tag.rpartition(":")
    store.set_tag(repository, short, digest)


def image(
    store: Putter,
    name: str = "app",
    *,
    tag: str | None = None,
    layers: int = 2,
    architecture: str = "amd64",
    docker: bool = False,
) -> Image:
    """Put a whole image into *store*; *tag* "repository:tag" names it as well."""
    parts = image_parts(name, layers=layers, architecture=architecture, docker=docker)
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    store.put_manifest(parts.manifest, parts.media_type)
    if tag is not None:
        set_tag(store, tag, parts.digest)
    return Image(parts.digest, digest_of(parts.config), tuple(map(digest_of, parts.layers)), parts)


class RossStore:
    """A store directory written as Ross writes it: in place, content first, then its .meta."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for area in ("blobs", "manifests", "indexes"):
            (root / area / "sha256").mkdir(parents=True, exist_ok=True)
        (root / "tags").mkdir(exist_ok=True)

    def put_blob(
        self, media_type: str, data: bytes, *, created_at: int = CREATED, meta: bool = True
    ) -> Digest:
        """Write a blob; *meta* False leaves its .meta out, as a Ross that died would."""
        record = {
            "media_type": media_type,
            "size": len(data),
            "created_at": created_at,
            "accessed_at": created_at,
        }
        return self._put("blobs", data, record if meta else None, created_at)

    def put_manifest(
        self,
        content: bytes,
        media_type: str = OCI_MANIFEST,
        *,
        created_at: int = CREATED,
        meta: bool = True,
        area: str = "manifests",
    ) -> Digest:
        """Write a manifest, or whatever else Ross is told to file in manifests/."""
        record = {
            "media_type": media_type,
            "size": len(content),
            "created_at": created_at,
            "schema_version": "2",
        }
        return self._put(area, content, record if meta else None, created_at)

    def put_index(
        self, content: bytes, media_type: str = OCI_INDEX, *, created_at: int = CREATED
    ) -> Digest:
        """Write an index into indexes/ (Ross's own tags then do not find it)."""
        return self.put_manifest(content, media_type, created_at=created_at, area="indexes")

    def set_tag(
        self, repository: str, tag: str, digest: Digest, *, updated_at: int = CREATED
    ) -> None:
        """Write a tag."""
        path = self.root / "tags" / repository / tag
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            compact(
                {
                    "digest_algorithm": digest.algorithm,
                    "digest_hash": digest.hex,
                    "updated_at": updated_at,
                }
            )
        )

    def path(self, digest: Digest, area: str = "blobs") -> Path:
        """Where the content of *digest* lies."""
        return self.root / area / digest.algorithm / digest.hex

    def meta_path(self, digest: Digest, area: str = "blobs") -> Path:
        """Where the .meta of *digest* lies."""
        return self.root / area / digest.algorithm / f"{digest.hex}.meta"

    def _put(
        self, area: str, data: bytes, record: dict[str, object] | None, created_at: int
    ) -> Digest:
        digest = digest_of(data)
        path = self.path(digest, area)
        path.write_bytes(data)
        os.utime(path, (created_at, created_at))
        if record is not None:
            self.meta_path(digest, area).write_bytes(compact(record))
        return digest


def ross_store(root: Path | str) -> RossStore:
    """Make an empty store as Ross has it in *root*."""
    return RossStore(Path(root))
