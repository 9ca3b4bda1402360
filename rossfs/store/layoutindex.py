"""index.json of a layout as it is now: what was written, brought in line with the tags.

A descriptor whose name is a tag of the repository goes when the tag does, and gives way to a new
one when the tag names something else: annotations are about content.  A tag that was set elsewhere
gets a descriptor with nothing but its name, after the others.  A descriptor without a name, or with
one that can be no tag, is there for as long as its content is stored.

Several descriptors may have one name, for several platforms (image-spec image-layout.md does not
forbid it).  The tag follows the first; the others are there for as long as that stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rossfs.errors import IndexTooLong, InvalidDocument
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.oci.document import MAX_BYTES, compact, parse_document
from rossfs.oci.index import Index
from rossfs.oci.layout import REF_NAME
from rossfs.oci.layoutmerge import descriptors_of, name_of
from rossfs.oci.mediatype import OCI_INDEX
from rossfs.oci.schema import MAX_DESCRIPTORS
from rossfs.store.layoutrecord import Record
from rossfs.store.tagtree import is_tag

Describe = Callable[[Digest], tuple[str, int] | None]
"""Media type and size of a stored manifest or index; None if it is not stored."""

IsStored = Callable[[Digest], bool]


def empty() -> dict[str, Any]:
    """The index of a layout that holds nothing."""
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def parse(text: bytes) -> dict[str, Any]:
    """Read what is to be index.json.  InvalidDocument."""
    document = parse_document(text, "index.json")
    Index.from_document(document, None, "index.json")
    if document.get("schemaVersion") != 2:
        # An index may lack it in practice; but `{}`, which would remove all tags, is none.
        raise InvalidDocument("index.json does not say that it is of schemaVersion 2")
    return document


def digest_of(descriptor: Mapping[str, Any]) -> Digest:
    """What a descriptor of a valid index names."""
    return Digest.parse(descriptor["digest"])


def current(
    record: Record | None, tags: Mapping[str, Digest], describe: Describe, is_stored: IsStored
) -> tuple[dict[str, Any], bytes]:
    """The index of a repository with these *tags*, and its text: the very bytes that were written,
    if nothing else happened.

    IndexTooLong if it has more descriptors or bytes than a tool could write back.
    """
    written = empty() if record is None else record.document
    before = () if record is None else record.before
    manifests = _in_line(written, before, tags, describe, is_stored)
    if record is not None and manifests == descriptors_of(written):
        return written, record.text
    document = {**written, "manifests": manifests}
    return document, text_of(document)


def text_of(document: dict[str, Any]) -> bytes:
    """The text of an index.  IndexTooLong."""
    count = len(descriptors_of(document))
    if count > MAX_DESCRIPTORS:
        raise IndexTooLong(
            f"index.json has {count} manifests, more than {MAX_DESCRIPTORS}: use tags/ instead"
        )
    text = compact(document)
    if len(text) > MAX_BYTES:
        raise IndexTooLong(
            f"index.json has {len(text)} bytes, more than {MAX_BYTES}: use tags/ instead"
        )
    return text


def tags_of(document: Mapping[str, Any]) -> dict[str, Digest]:
    """The tags that an index names: the first descriptor of each name that can be one."""
    found: dict[str, Digest] = {}
    for descriptor in descriptors_of(document):
        name = name_of(descriptor)
        if name and is_tag(name):
            found.setdefault(name, digest_of(descriptor))
    return found


def named_beside(document: Mapping[str, Any]) -> Iterator[tuple[str, Digest]]:
    """(name, digest) of the descriptors that have a name and that no tag holds: the name can be no
    tag, or is that of another descriptor too."""
    firsts = tags_of(document)
    for descriptor in descriptors_of(document):
        name, digest = name_of(descriptor), digest_of(descriptor)
        if name and firsts.get(name) != digest:
            yield name, digest


def unnamed(document: Mapping[str, Any]) -> Iterator[Digest]:
    """What the descriptors without a name name."""
    for descriptor in descriptors_of(document):
        if not name_of(descriptor):
            yield digest_of(descriptor)


def _in_line(
    written: Mapping[str, Any],
    before: Iterable[dict[str, Any]],
    tags: Mapping[str, Digest],
    describe: Describe,
    is_stored: IsStored,
) -> list[dict[str, Any]]:
    earlier = {(name_of(each), each["digest"]): each for each in before}
    firsts = tags_of(written)
    manifests = []
    done: set[str] = set()

    def take(name: str) -> None:
        """Show a tag that is not as it was written."""
        digest = tags[name]
        said = describe(digest)
        if said is None:
            return
        plain = Descriptor(said[0], digest, said[1], annotations={REF_NAME: name}).as_json()
        manifests.append(earlier.get((name, str(digest)), plain))

    for descriptor in descriptors_of(written):
        name = name_of(descriptor)
        unchanged = name not in firsts or tags.get(name) == firsts[name]
        if unchanged:
            if is_stored(digest_of(descriptor)):
                manifests.append(descriptor)
        elif name in tags and name not in done:
            take(name)
        done.add(name)
    for name in sorted(tags):
        if name not in done:
            take(name)
    return manifests
