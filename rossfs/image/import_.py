"""Importing images: what a source holds, verified and complete, becomes content and tags.

Nothing is tagged unless all of it is there.  Blobs first, two at a time, the largest first; then
manifests, then the indexes that name them, then tags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rossfs.errors import DigestMismatch, InvalidDocument, InvalidSource, MissingContent
from rossfs.image.arriving import ArrivingLayers
from rossfs.image.cache import Cache
from rossfs.image.diffids import complaints
from rossfs.image.intake import Intake
from rossfs.image.naming import Named, choose
from rossfs.image.opening import open_source
from rossfs.image.progress import SILENT, Progress
from rossfs.image.resolve import DEPTH
from rossfs.image.source import Source
from rossfs.image.transport import Place
from rossfs.image.workers import Workers
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.index import Index
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import is_foreign
from rossfs.oci.quotation import first_of
from rossfs.oci.recognise import parse_as
from rossfs.oci.reference import Reference
from rossfs.store.store import Store

DOCUMENT_ROOM = 256 << 20
"""Bytes of manifests and indexes in one import; they are kept in memory until they are stored."""


class Imported(NamedTuple):
    """One image that is now in the store."""

    digest: Digest
    media_type: str
    references: tuple[Reference, ...]
    """Its tags, which point at it now."""


class Import(NamedTuple):
    """What one import did."""

    images: tuple[Imported, ...]
    blobs_copied: int
    """Blobs that the store did not have."""
    bytes_copied: int
    """The bytes of those."""
    warnings: tuple[str, ...] = ()
    """What is wrong with images that were imported all the same, one line each."""


def import_images(
    store: Store,
    place: Place,
    name: str | None = None,
    progress: Progress = SILENT,
    cache: Cache | None = None,
) -> Import:
    """Import the images at *place*, called *name* or what the source calls them.

    InvalidSource, InvalidDocument or DigestMismatch for what is broken, MissingContent for what is
    incomplete, UsageError or TagNotFound where *place* or *name* do not say enough; then no tag was
    changed.  *cache*: where the tables of layers go that are copied; None: none are made.
    """
    layers = None if cache is None else ArrivingLayers(cache)
    with store.pins.hold() as hold:
        intake = Intake(store, hold, progress, layers)
        with open_source(place, intake) as source:
            chosen = choose(source.roots(), place, name)
            gathering = _Gathering(source, intake)
            images = tuple(gathering.run(chosen))
        for image in images:
            for reference in image.references:
                assert reference.tag is not None
                store.set_tag(reference.repository, reference.tag, image.digest)
        if layers is not None:
            for digest, manifest in gathering.manifests:
                for complaint in complaints(store, layers, digest, manifest):
                    layers.warn(complaint)
        warnings = () if layers is None else layers.warnings
        return Import(images, intake.blobs_copied, intake.bytes_copied, warnings)


class _Document(NamedTuple):
    digest: Digest
    data: bytes
    media_type: str


class _Gathering:
    """Everything that some images need, found before anything is copied."""

    def __init__(self, source: Source, intake: Intake) -> None:
        self._source = source
        self._intake = intake
        self._documents: dict[Digest, _Document | None] = {}  # in the order of committing
        self._under_way: set[Digest] = set()
        self._blobs: dict[Digest, Descriptor] = {}
        self._missing: list[str] = []
        self._room = DOCUMENT_ROOM
        self.manifests: list[tuple[Digest, Manifest]] = []
        """Those of all images, once they were found."""

    def run(self, chosen: list[Named]) -> list[Imported]:
        """Copy what *chosen* need; return what they are."""
        images = []
        for root, references in chosen:
            if not self._visit(root.descriptor, 0):
                raise MissingContent(f"{self._source.name} lacks {root.descriptor.digest} itself")
            document = self._documents[root.descriptor.digest]
            assert document is not None
            images.append(Imported(document.digest, document.media_type, references))
        workers = Workers()
        jobs = [
            self._copying(workers, descriptor, size)
            for descriptor in self._blobs.values()
            if (size := self._wanted(descriptor)) is not None
        ]
        if self._missing:
            raise MissingContent(f"{self._source.name} lacks {first_of(self._missing)}")
        workers.run(job for _, job in sorted(jobs, key=lambda job: -job[0]))
        for document in self._documents.values():
            if document is not None:
                self._intake.document(*document)
        return images

    def _visit(self, descriptor: Descriptor, depth: int) -> bool:
        """Note a manifest or index and what it needs; False if the source lacks it."""
        digest = descriptor.digest
        if digest in self._documents:
            return self._documents[digest] is not None
        if depth > DEPTH or digest in self._under_way:
            raise InvalidDocument(f"{digest} in {self._source.name} is too deep in other indexes")
        data = _embedded(descriptor) or self._source.document(descriptor)
        if data is None:
            self._documents[digest] = None
            return False
        _check(descriptor, data, self._source.name)
        self._room -= len(data)
        if self._room < 0:
            limit = f"{DOCUMENT_ROOM >> 20} MiB of manifests"
            raise InvalidSource(f"{self._source.name} holds more than {limit}")
        try:
            value = parse_as(data, descriptor.media_type)
        except InvalidDocument as error:
            raise InvalidDocument(f"{digest} in {self._source.name}: {error}") from error
        self._under_way.add(digest)
        if isinstance(value, Manifest):
            self.manifests.append((digest, value))
            self._visit_manifest(value, depth)
        else:
            self._visit_index(digest, value, depth)
        self._under_way.discard(digest)
        self._documents[digest] = _Document(digest, data, value.media_type)
        return True

    def _visit_manifest(self, manifest: Manifest, depth: int) -> None:
        for descriptor in manifest.references():
            self._blobs.setdefault(descriptor.digest, descriptor)
        # What a manifest is about need not be where it is (image-spec, manifest.md, "subject").
        if manifest.subject is not None:
            self._visit(manifest.subject, depth + 1)

    def _visit_index(self, digest: Digest, index: Index, depth: int) -> None:
        """An index may lack manifests, of other platforms, but not all that it names."""
        lacking = [item for item in index.manifests if not self._visit(item, depth + 1)]
        if lacking and len(lacking) == len(index.manifests):
            self._missing.extend(f"manifest {item.digest} of {digest}" for item in lacking)
        if index.subject is not None:
            self._visit(index.subject, depth + 1)

    def _wanted(self, descriptor: Descriptor) -> int | None:
        """The size of a blob that must be copied; None if the store has it or it may be missing."""
        digest = descriptor.digest
        size = self._intake.has(digest, descriptor.media_type)
        wanted = size is None
        if size is None:
            embedded = _embedded(descriptor)
            size = self._source.blob_size(digest) if embedded is None else len(embedded)
        if size is None:
            if not is_foreign(descriptor.media_type):
                self._missing.append(f"blob {digest}")
            return None
        if size != descriptor.size:
            raise DigestMismatch(
                f"{digest} in {self._source.name} has {size} bytes; its manifest says "
                f"{descriptor.size}"
            )
        return size if wanted else None

    def _copying(
        self, workers: Workers, descriptor: Descriptor, size: int
    ) -> tuple[int, Callable[[], None]]:
        digest, media_type = descriptor.digest, descriptor.media_type

        def copy() -> None:
            data = _embedded(descriptor)
            chunks = self._source.blob(digest) if data is None else iter((data,))
            self._intake.take(digest, media_type, size, workers.watched(chunks))

        return size, copy


def _embedded(descriptor: Descriptor) -> bytes | None:
    """The content that a descriptor carries itself, if it is right (descriptor.md, "data")."""
    data = descriptor.data
    if data is None or Digest.of(data, descriptor.digest.algorithm) != descriptor.digest:
        return None
    return data


def _check(descriptor: Descriptor, data: bytes, source: str) -> None:
    actual = Digest.of(data, descriptor.digest.algorithm)
    if actual != descriptor.digest:
        raise DigestMismatch(f"{descriptor.digest} in {source} hashes to {actual}")
    if len(data) != descriptor.size:
        raise DigestMismatch(
            f"{descriptor.digest} in {source} has {len(data)} bytes; {descriptor.size} were said"
        )
