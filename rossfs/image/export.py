"""Exporting an image: byte for byte what the store holds, in the forms that other tools read.

    oci            a layout directory: oci-layout, index.json, blobs/<algorithm>/<hex>
    oci-archive    the same in a tar archive
    docker-archive the same and manifest.json, as `docker save` writes it since version 25

Everything is hashed on its way out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from rossfs.errors import InvalidDocument, UsageError
from rossfs.image.complete import Contents, checked, gather
from rossfs.image.layoutsink import open_layout
from rossfs.image.layoutsource import CONTAINERD_NAME
from rossfs.image.outfile import open_output
from rossfs.image.progress import SILENT, Progress
from rossfs.image.resolve import resolve
from rossfs.image.sink import Sink
from rossfs.image.transport import Place, Transport
from rossfs.image.workers import Workers
from rossfs.oci.digest import Digest
from rossfs.oci.document import compact
from rossfs.oci.layout import INDEX_FILE, LAYOUT_DOCUMENT, LAYOUT_FILE, REF_NAME, blob_path
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import layer_extension
from rossfs.oci.platform import Platform
from rossfs.oci.recognise import parse_as
from rossfs.oci.reference import Reference, is_host
from rossfs.store.store import Store

DOCKER_FILE = "manifest.json"


class Exported(NamedTuple):
    """What one export wrote."""

    digest: Digest
    """Of the manifest or index."""
    media_type: str
    blobs: int
    """Contents written, manifests among them; fewer than the image has where some were there."""
    size: int
    """Their bytes."""


class _Name(NamedTuple):
    """What the image is called where it goes."""

    short: str | None
    """A tag, or whatever the user said."""
    full: str | None
    """With registry host."""
    familiar: str | None
    """As people write it."""


def export_image(
    store: Store,
    digest: Digest,
    place: Place,
    *,
    reference: Reference | None = None,
    platform: Platform | None = None,
    progress: Progress = SILENT,
) -> Exported:
    """Write the manifest or index *digest* and all it needs to *place*.

    *reference* is what it is called there, if *place* does not say.  With *platform*, of an index
    only the image for that platform; a docker archive holds one image and so takes this machine's
    if nothing is said.  ManifestNotFound, MissingContent, Damaged, Conflict; then an archive or a
    new layout is not there, and in an old one nothing names the image.
    """
    docker = place.transport is Transport.DOCKER_ARCHIVE
    if docker and platform is None:
        platform = Platform.host()
    with store.pins.hold(digest) as hold:
        if platform is not None:
            digest = resolve(store, digest, platform).digest
        contents = gather(store, digest, hold)
        name = _name(place, reference, docker=docker)
        job = _Export(store, contents, progress)
        if place.transport is Transport.OCI:
            with open_layout(place.path) as sink:
                job.write_blobs(sink, Workers())
                sink.enter(_entry(contents, name))
        else:
            with open_output(place.path) as (fd, path):
                job.write_archive(fd, path, name, docker=docker)
        return Exported(digest, contents.top.media_type, job.blobs, job.size)


class _Export:
    def __init__(self, store: Store, contents: Contents, progress: Progress) -> None:
        self.blobs = 0
        self.size = 0
        self._store = store
        self._contents = contents
        self._progress = progress

    def write_archive(self, fd: int, path: str, name: _Name, *, docker: bool) -> None:
        """Write all of it as one archive: what says what it is comes first."""
        from rossfs.image.tarsink import TarSink

        extra = _docker_manifest(self._store, self._contents, name) if docker else None
        sink = TarSink(fd, path)
        _add(sink, LAYOUT_FILE, LAYOUT_DOCUMENT)
        index = {"schemaVersion": 2, "manifests": [_entry(self._contents, name)]}
        _add(sink, INDEX_FILE, compact(index))
        if extra is not None:
            _add(sink, DOCKER_FILE, extra)
        self.write_blobs(sink, Workers(1))
        sink.close()

    def write_blobs(self, sink: Sink, workers: Workers) -> None:
        """Write manifests and blobs, as far as they are not there."""
        for document in self._contents.documents:
            path = blob_path(document.digest)
            if not sink.has(path, document.size):
                _add(sink, path, self._store.get_manifest(document.digest)[0])
                self._count(document.size)
        workers.run(
            self._copying(sink, workers, blob.digest, blob.size) for blob in self._contents.blobs
        )

    def _copying(
        self, sink: Sink, workers: Workers, digest: Digest, size: int
    ) -> Callable[[], None]:
        def copy() -> None:
            path = blob_path(digest)
            if sink.has(path, size):
                return
            self._progress.begin(str(digest), size)
            sink.add(path, size, self._told(digest, workers.watched(checked(self._store, digest))))
            self._progress.end(str(digest))
            self._count(size)

        return copy

    def _told(self, digest: Digest, chunks: Iterable[bytes]) -> Iterable[bytes]:
        for chunk in chunks:
            yield chunk
            self._progress.advance(str(digest), len(chunk))

    def _count(self, size: int) -> None:
        self.blobs += 1
        self.size += size


def _name(place: Place, reference: Reference | None, *, docker: bool) -> _Name:
    said = place.selection
    if docker and said:
        reference = Reference.parse(said)
    if reference is None or reference.tag is None:
        return _Name(said or None, None, None)
    reference = reference._replace(digest=None)
    host = reference.repository.partition("/")[0]
    full = str(reference) if is_host(host) else f"docker.io/{reference}"
    short = reference.tag if docker else said or reference.tag
    return _Name(short, full, reference.familiar())


def _entry(contents: Contents, name: _Name) -> dict[str, Any]:
    """The descriptor that goes into index.json."""
    entry = contents.top.entry()
    annotations = {}
    if name.full is not None:
        annotations[CONTAINERD_NAME] = name.full
    if name.short is not None:
        annotations[REF_NAME] = name.short
    if annotations:
        entry["annotations"] = annotations
    return entry


def _docker_manifest(store: Store, contents: Contents, name: _Name) -> bytes:
    """manifest.json for `docker load`; InvalidDocument for what that cannot load."""
    manifest = parse_as(*store.get_manifest(contents.top.digest))
    if not isinstance(manifest, Manifest) or not manifest.is_image:
        raise InvalidDocument(f"{contents.top.digest} is no image that docker could load")
    here = {blob.digest for blob in contents.blobs}
    for layer in manifest.layers:
        # docker reads tar, and gzip of it, everywhere; zstd in some versions only.
        if layer_extension(layer.media_type) not in ("tar", "tar.gz"):
            raise UsageError(
                f"layer {layer.digest} is of type {layer.media_type}, which docker cannot load: "
                "export it as oci-archive:"
            )
        if layer.digest not in here:
            raise UsageError(f"layer {layer.digest} is not stored, only where to find it")
    image = {
        "Config": blob_path(manifest.config.digest),
        "RepoTags": [name.familiar] if name.familiar else None,
        "Layers": [blob_path(layer.digest) for layer in manifest.layers],
    }
    return compact([image])


def _add(sink: Sink, path: str, data: bytes) -> None:
    sink.add(path, len(data), [data])
