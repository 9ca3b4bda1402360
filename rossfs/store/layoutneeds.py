"""Is everything here that new descriptors of an index.json need?

An index may lack manifests (other platforms'), a manifest its foreign layers and its subject;
anything else that is missing makes the index.json that names it unusable.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rossfs.errors import InvalidDocument, MissingContent
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import Kind, is_foreign, kind_of
from rossfs.oci.quotation import first_of
from rossfs.oci.recognise import parse_as
from rossfs.store.content import Content
from rossfs.store.contents import Contents
from rossfs.store.digestset import DigestSet
from rossfs.store.ingest import Ingest
from rossfs.store.paths import Area


def require(contents: Contents, descriptors: Iterable[dict[str, Any]]) -> DigestSet:
    """Return all that *descriptors*, of a valid index, reach and that is stored.

    What they call a manifest or index and lies among the blobs is filed as that.  MissingContent
    (EBADMSG), naming what lacks and who needs it; InvalidDocument for what is none, or has another
    size; Damaged.  Requires `Access.writing`, so that what is here stays here.
    """
    reached = DigestSet()
    pending: list[Content] = []
    missing: list[str] = []
    for fields in descriptors:
        descriptor = Descriptor.parse(fields, "index.json")
        content = contents.settle(descriptor.digest)
        if content is None:
            missing.append(str(descriptor.digest))
            continue
        if content.size != descriptor.size:
            raise InvalidDocument(
                f"index.json says that {descriptor.digest} has {descriptor.size} bytes;"
                f" it has {content.size}"
            )
        if reached.add(descriptor.digest):
            pending.append(_filed(contents, content, descriptor.media_type))
    if missing:
        raise _missing("index.json", missing)
    while pending:
        content = pending.pop()
        if content.area is not Area.BLOBS:
            pending.extend(
                below for below in _below(contents, content) if reached.add(below.digest)
            )
    return reached


def _below(contents: Contents, content: Content) -> Iterator[Content]:
    """What the document *content* refers to and is stored; MissingContent if it lacks something."""
    document = parse_as(contents.read_document(content), content.media_type)
    missing: list[str] = []
    for needed in document.references():
        found = contents.settle(needed.digest)
        if found is not None:
            yield _filed(contents, found, needed.media_type)
        elif isinstance(document, Manifest) and not is_foreign(needed.media_type):
            missing.append(str(needed.digest))
    if missing:
        raise _missing(f"manifest {content.digest}", missing)


def _filed(contents: Contents, content: Content, media_type: str) -> Content:
    """*content* as the manifest or index that *media_type* says it is."""
    if content.area is not Area.BLOBS or kind_of(media_type) not in (Kind.MANIFEST, Kind.INDEX):
        return content
    data = contents.read_document(content)
    with Ingest.create(contents, content.digest.algorithm) as ingest:
        ingest.append(data)
        ingest.commit(content.digest, media_type)
    filed = contents.settle(content.digest)
    return content if filed is None else filed


def _missing(who: str, digests: Sequence[str]) -> MissingContent:
    error = MissingContent(f"{who} needs what is not in the store: {first_of(digests)}")
    # As for any other text that is refused when it is closed.
    error.errno = errno.EBADMSG
    return error
