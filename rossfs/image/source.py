"""What can be imported: some images by name, their documents, and their blobs by digest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest


class Root(NamedTuple):
    """One image (or index) of a source."""

    descriptor: Descriptor
    names: tuple[str, ...]
    """What the source calls it: references, or tags without a repository."""


class Source(Protocol):
    """One place that holds images.  Nothing that it gives has been verified."""

    name: str
    """For messages."""

    def roots(self) -> list[Root]:
        """The images that the source offers, in its own order."""

    def document(self, descriptor: Descriptor) -> bytes | None:
        """The bytes of a manifest or index; None if they are missing."""

    def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob in bytes; None if it is missing."""

    def blob(self, digest: Digest) -> Iterator[bytes]:
        """Give the content of a blob that `blob_size` knows, in pieces."""
