"""What an export has to write: an image or index of the store with everything it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from rossfs.errors import Damaged, InvalidDocument, ManifestNotFound, MissingContent
from rossfs.image.resolve import DEPTH
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest, hasher_for
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import is_foreign
from rossfs.oci.quotation import first_of
from rossfs.oci.recognise import parse_as
from rossfs.store.pins import Hold
from rossfs.store.store import Store


class Document(NamedTuple):
    """A manifest or index to export."""

    digest: Digest
    size: int
    media_type: str

    def entry(self) -> dict[str, Any]:
        """The descriptor that an index.json has for it."""
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}


class Contents(NamedTuple):
    """All that one export writes."""

    top: Document
    documents: tuple[Document, ...]
    """*top* first."""
    blobs: tuple[Descriptor, ...]
    absent: tuple[Digest, ...]
    """What would belong to it and is not stored, as may be."""


def gather(store: Store, digest: Digest, hold: Hold | None = None) -> Contents:
    """Find what *digest* needs, and hold it.

    ManifestNotFound if it is not stored, MissingContent if something that it needs is not.  An
    index may lack manifests, a manifest its foreign layers.
    """
    documents: dict[Digest, Document] = {}
    blobs: dict[Digest, Descriptor] = {}
    absent: dict[Digest, None] = {}

    def visit(digest: Digest, depth: int) -> None:
        if digest in documents:
            return
        if depth > DEPTH:
            raise InvalidDocument(f"{digest} is more than {DEPTH} indexes deep")
        if hold is not None:
            hold.add(digest)
        data, media_type = store.get_manifest(digest)
        documents[digest] = Document(digest, len(data), media_type)
        value = parse_as(data, media_type)
        if isinstance(value, Manifest):
            for descriptor in value.references():
                blobs.setdefault(descriptor.digest, descriptor)
            return
        for item in value.manifests:
            try:
                visit(item.digest, depth + 1)
            except ManifestNotFound:
                absent[item.digest] = None

    visit(digest, 0)
    if hold is not None:
        hold.add(*blobs)
    found = _stored(store, blobs, absent)
    return Contents(documents[digest], tuple(documents.values()), found, tuple(absent))


def _stored(
    store: Store, blobs: dict[Digest, Descriptor], absent: dict[Digest, None]
) -> tuple[Descriptor, ...]:
    found, missing = [], []
    for digest, descriptor in blobs.items():
        content = store.contents.settle(digest)
        if content is not None:
            if content.size != descriptor.size:
                raise Damaged(
                    f"{digest} has {content.size} bytes; its manifest says {descriptor.size}"
                )
            found.append(descriptor)
        elif is_foreign(descriptor.media_type):
            absent[digest] = None
        else:
            missing.append(str(digest))
    if missing:
        raise MissingContent(f"the store lacks {first_of(missing)}")
    return tuple(found)


def checked(store: Store, digest: Digest) -> Iterator[bytes]:
    """Give the bytes of a blob in pieces; Damaged, after the last, if they are wrong.

    Content with a seal was not looked at since it was written: what leaves the store is.
    """
    hasher = hasher_for(digest.algorithm)
    with store.open_blob(digest) as reader:
        for chunk in reader.chunks():
            hasher.update(chunk)
            yield chunk
        if hasher.hexdigest() != digest.hex:
            reason = f"{digest} is damaged: its bytes hash to {hasher.hexdigest()}"
            raise store.verifier.accuse(reader.content, reason)
