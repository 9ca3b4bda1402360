"""Is this a manifest or an index?  Asked of every small file that somebody writes."""

from __future__ import annotations

import re
from typing import Any

from rossfs.errors import InvalidDocument
from rossfs.oci.document import MAX_BYTES, parse_document
from rossfs.oci.index import Index
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import Kind, kind_of
from rossfs.oci.schema import kind_of_document

_OBJECT = re.compile(rb"[ \t\r\n]*+\{")
_TELLING = (b'"mediaType"', b'"manifests"', b'"layers"')


def recognise(data: bytes) -> str | None:
    """Return the media type of the manifest or index that *data* is; None if it is neither.

    It is one if it is valid as a whole, and says so by its media type or has `manifests`, or both
    `config` and `layers`.  Never raises; what is obviously no JSON costs next to nothing.
    """
    if len(data) > MAX_BYTES or _OBJECT.match(data) is None:
        return None
    # Names may be written in escapes, which nobody does: then only parsing tells.
    if b"\\u" not in data and not any(name in data for name in _TELLING):
        return None
    try:
        document = parse_document(data, "document")
        value = _read(document, kind_of_document(document), None)
    except InvalidDocument:
        return None
    return None if value is None else value.media_type


def parse_as(data: bytes, media_type: str) -> Manifest | Index:
    """Read *data* as the kind of document that *media_type* says, or that it says itself.

    The latter where *media_type* is neither a manifest's nor an index's.  Raises InvalidDocument
    for what is not valid, not of this kind or neither.
    """
    kind = kind_of(media_type)
    if kind not in (Kind.MANIFEST, Kind.INDEX):
        document = parse_document(data, "document")
        kind = kind_of_document(document)
    else:
        document = parse_document(data, kind.value)
    value = _read(document, kind, media_type)
    if value is None:
        raise InvalidDocument("the document is neither a manifest nor an index")
    return value


def _read(document: dict[str, Any], kind: Kind, media_type: str | None) -> Manifest | Index | None:
    if kind is Kind.MANIFEST:
        return Manifest.from_document(document, media_type)
    if kind is Kind.INDEX:
        return Index.from_document(document, media_type)
    return None
