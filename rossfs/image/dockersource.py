"""What `docker save` writes, as a source.

manifest.json is a list of {"Config", "RepoTags", "Layers"}, the latter paths in the archive; layers
are tar, or gzip of it.  (moby, image/tarexport; containers/image, docker/internal/tarfile.)  There
is no manifest in it, so one is made: of OCI, since skopeo finds no tag of a Docker manifest in an
OCI layout.  Config and layers stay as they are, so their digests do; each layer must be what the
config's diff ID says.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from rossfs.errors import DigestMismatch, InvalidDocument, InvalidSource, MissingContent
from rossfs.image.files import Files, read
from rossfs.image.intake import Intake
from rossfs.image.source import Root
from rossfs.oci.config import Config
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest, hasher_for
from rossfs.oci.document import compact, parse_array
from rossfs.oci.mediatype import OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST
from rossfs.oci.quotation import quote

MANIFEST_FILE = "manifest.json"

_IMAGE_LIMIT = 10_000
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}")


class _Layer(NamedTuple):
    media_type: str
    size: int
    digest: Digest


class DockerSource:
    """The images of a docker archive.  Its layers are in the store once this is made."""

    def __init__(self, files: Files, intake: Intake) -> None:
        """InvalidSource or InvalidDocument if *files* are no such archive, MissingContent if it is
        incomplete, DigestMismatch if a layer is not what its config says."""
        self.name = files.name
        self._files = files
        self._intake = intake
        self._layers: dict[str, _Layer] = {}
        self._configs: dict[Digest, bytes] = {}
        self._manifests: dict[Digest, bytes] = {}
        self._roots = [self._image(item) for item in _items(files)]

    def roots(self) -> list[Root]:
        """See Source.roots."""
        return self._roots

    def document(self, descriptor: Descriptor) -> bytes | None:
        """See Source.document."""
        return self._manifests.get(descriptor.digest)

    def blob_size(self, digest: Digest) -> int | None:
        """See Source.blob_size; layers are in the store."""
        data = self._configs.get(digest)
        return None if data is None else len(data)

    def blob(self, digest: Digest) -> Iterator[bytes]:
        """See Source.blob."""
        yield self._configs[digest]

    def _image(self, item: dict[str, Any]) -> Root:
        path, names, layers = _fields(item, self.name)
        data = read(self._files, path)
        if data is None:
            raise MissingContent(f"{self.name} lacks the config {quote(path)}")
        digest = Digest.of(data)
        claimed = _HEX.search(posixpath.basename(path))
        if claimed is not None and claimed.group() != digest.hex:
            raise DigestMismatch(f"{quote(path)} in {self.name} hashes to {digest}")
        diff_ids = Config.parse(data).diff_ids
        if len(diff_ids) != len(layers):
            raise InvalidDocument(
                f"{quote(path)} in {self.name} has {len(diff_ids)} diff IDs, but there are "
                f"{len(layers)} layers"
            )
        stored = [
            self._layer(layer, diff_id) for layer, diff_id in zip(layers, diff_ids, strict=True)
        ]
        self._configs[digest] = data
        manifest = _manifest(_Layer(OCI_CONFIG, len(data), digest), stored)
        top = Descriptor.of(manifest, OCI_MANIFEST)
        self._manifests[top.digest] = manifest
        return Root(top, names)

    def _layer(self, path: str, diff_id: Digest) -> _Layer:
        """Put one layer into the store, unless it is there; it is *diff_id* when uncompressed."""
        known = self._layers.get(path)
        if known is None:
            size = self._files.size(path)
            if size is None:
                raise MissingContent(f"{self.name} lacks the layer {quote(path)}")
            known = self._layers[path] = self._take(path, size, diff_id)
        found = known.digest
        if known.media_type == OCI_LAYER_GZIP:
            found = _uncompressed(self._intake.read(known.digest), path, diff_id.algorithm)
        if found != diff_id:
            raise DigestMismatch(
                f"layer {quote(path)} in {self.name} is {found}; the config says {diff_id}"
            )
        return known

    def _take(self, path: str, size: int, diff_id: Digest) -> _Layer:
        stored = self._files.stored(path)
        if stored is not None:
            head = next(self._intake.read(stored), b"")
            return _Layer(_layer_type(head, path), size, stored)
        chunks = self._files.chunks(path)
        head = next(chunks, b"")
        media_type = _layer_type(head, path)
        chunks = chain([head], chunks)
        if media_type == OCI_LAYER_GZIP:
            digest = self._intake.take_unnamed(path, media_type, size, chunks)
            return _Layer(media_type, size, digest)
        if self._intake.has(diff_id) != size:
            self._intake.take(diff_id, media_type, size, chunks)
        return _Layer(media_type, size, diff_id)


def _items(files: Files) -> list[dict[str, Any]]:
    data = read(files, MANIFEST_FILE)
    if data is None:
        raise InvalidSource(f"{files.name} holds no image: it has no {MANIFEST_FILE}")
    items = parse_array(data, f"{MANIFEST_FILE} of {files.name}")
    if not all(isinstance(item, dict) for item in items):
        raise InvalidDocument(f"{MANIFEST_FILE} of {files.name} is no list of images")
    if not items or len(items) > _IMAGE_LIMIT:
        raise InvalidSource(f"{files.name} holds {len(items)} images")
    return items


def _fields(item: dict[str, Any], source: str) -> tuple[str, tuple[str, ...], list[str]]:
    """The path of the config, the names, and the paths of the layers, bottom first."""
    path, names, layers = item.get("Config"), item.get("RepoTags") or [], item.get("Layers") or []
    if not isinstance(path, str) or not _are_strings(names) or not _are_strings(layers):
        raise InvalidDocument(f"{MANIFEST_FILE} of {source} has an image without Config or Layers")
    return path, tuple(names), layers


def _are_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _layer_type(head: bytes, path: str) -> str:
    if head.startswith(_ZSTD):
        raise InvalidSource(f"layer {quote(path)} is compressed with zstd: use an OCI archive")
    return OCI_LAYER_GZIP if head.startswith(_GZIP) else OCI_LAYER


def _uncompressed(chunks: Iterable[bytes], path: str, algorithm: str) -> Digest:
    """The digest of what a gzip layer of one or more members holds; InvalidSource if it is
    damaged."""
    hasher = hasher_for(algorithm)
    member = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if member.eof:
                    # Members may follow each other; zeros may follow the last (gzip(1)).
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    member = zlib.decompressobj(wbits=31)
                hasher.update(member.decompress(data, _CHUNK))
                data = member.unused_data if member.eof else member.unconsumed_tail
                if not data and not member.eof:
                    # What zlib still holds although it took all of the input.
                    while more := member.decompress(b"", _CHUNK):
                        hasher.update(more)
    except zlib.error as error:
        raise InvalidSource(f"layer {quote(path)} is damaged: {error}") from error
    if not member.eof:
        raise InvalidSource(f"layer {quote(path)} is truncated")
    return Digest(algorithm, hasher.hexdigest())


def _manifest(config: _Layer, layers: list[_Layer]) -> bytes:
    def described(item: _Layer) -> dict[str, object]:
        return {"mediaType": item.media_type, "digest": str(item.digest), "size": item.size}

    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(config),
        "layers": [described(layer) for layer in layers],
    }
    return compact(document)
