"""An OCI image layout as a source: a directory, or the same in an archive (image-layout.md)."""

from __future__ import annotations

from collections.abc import Iterator

from rossfs.errors import InvalidSource
from rossfs.image.files import Files, read
from rossfs.image.source import Root
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.document import parse_document
from rossfs.oci.index import Index
from rossfs.oci.layout import INDEX_FILE, LAYOUT_FILE, REF_NAME, blob_path
from rossfs.oci.quotation import quote

CONTAINERD_NAME = "io.containerd.image.name"
"""The full reference, as docker and containerd write it beside the short ref.name."""


class LayoutSource:
    """The images that index.json of a layout names."""

    def __init__(self, files: Files) -> None:
        """InvalidSource or InvalidDocument if *files* are no layout."""
        self.name = files.name
        self._files = files
        header = read(files, LAYOUT_FILE)
        if header is None:
            raise InvalidSource(f"{files.name} is no OCI image layout: it has no {LAYOUT_FILE}")
        version = parse_document(header, f"{LAYOUT_FILE} of {files.name}").get("imageLayoutVersion")
        if not isinstance(version, str) or not version.startswith("1."):
            shown = quote(version) if isinstance(version, str) else "none"
            raise InvalidSource(f"{files.name} is an OCI layout of version {shown}, not 1.0.0")
        index = read(files, INDEX_FILE)
        if index is None:
            raise InvalidSource(f"{files.name} is no OCI image layout: it has no {INDEX_FILE}")
        self._index = Index.parse(index, None, f"{INDEX_FILE} of {files.name}")

    def roots(self) -> list[Root]:
        """See Source.roots."""
        return [Root(item, _names(item)) for item in self._index.manifests]

    def document(self, descriptor: Descriptor) -> bytes | None:
        """See Source.document."""
        return read(self._files, blob_path(descriptor.digest))

    def blob_size(self, digest: Digest) -> int | None:
        """See Source.blob_size."""
        return self._files.size(blob_path(digest))

    def blob(self, digest: Digest) -> Iterator[bytes]:
        """See Source.blob."""
        return self._files.chunks(blob_path(digest))


def _names(descriptor: Descriptor) -> tuple[str, ...]:
    annotations = descriptor.annotations or {}
    name = annotations.get(CONTAINERD_NAME) or annotations.get(REF_NAME)
    return (name,) if name else ()
