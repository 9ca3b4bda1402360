"""What manifests and indexes have in common: a schema version, a media type, and being one thing.

A document that could be read as a manifest and as an index means different content to different
tools (CVE-2021-41190), so it is refused, as is one whose media type says the other kind.
"""

from __future__ import annotations

from typing import Any

from rossfs.errors import InvalidDocument
from rossfs.oci.document import media_type_field
from rossfs.oci.mediatype import OCI_INDEX, OCI_MANIFEST, Kind, bare, is_schema1, kind_of
from rossfs.oci.quotation import quote

MAX_DESCRIPTORS = 16_384  # layers of a manifest, manifests of an index

_DEFAULTS = {Kind.MANIFEST: OCI_MANIFEST, Kind.INDEX: OCI_INDEX}
_OF_THE_OTHER = {Kind.MANIFEST: ("manifests",), Kind.INDEX: ("config", "layers")}


def check_schema(document: dict[str, Any], kind: Kind, given: str | None, what: str) -> str:
    """Return the media type of *document*, which is to be a MANIFEST or an INDEX.

    That is what the document says itself, or else what somebody said of it (*given*: a descriptor,
    a Content-Type), or else that of OCI; the answer is always of *kind*.  A media type that is not
    known counts for nothing.  Raises InvalidDocument for Docker schema 1, for another schema
    version and for what is, or might be, the other kind.
    """
    stated = media_type_field(document, "mediaType", what)
    _refuse_schema1(document, stated, given, what)
    version = document.get("schemaVersion")
    if version is not None and (type(version) is not int or version != 2):
        raise InvalidDocument(f"{what} is not of schemaVersion 2")
    found = None
    for text in (stated, given):
        if text is None or (said := kind_of(text)) is Kind.OTHER:
            continue
        if said is not kind:
            raise InvalidDocument(f"{what} has the media type of another thing: {quote(text)}")
        found = found or bare(text)
    for name in _OF_THE_OTHER[kind]:
        if document.get(name):
            raise InvalidDocument(f"{what} has {name} too: it is not clear what it is")
    return found or _DEFAULTS[kind]


def kind_of_document(document: dict[str, Any]) -> Kind:
    """Return what *document* seems to be: MANIFEST, INDEX or OTHER.

    A media type decides; without one, `manifests` make an index, `config` and `layers` a manifest.
    """
    stated = document.get("mediaType")
    if isinstance(stated, str) and stated:
        kind = kind_of(stated)
        return kind if kind in _DEFAULTS else Kind.OTHER
    if "manifests" in document:
        return Kind.INDEX
    return Kind.MANIFEST if "config" in document and "layers" in document else Kind.OTHER


def _refuse_schema1(
    document: dict[str, Any], stated: str | None, given: str | None, what: str
) -> None:
    by_type = any(text is not None and is_schema1(text) for text in (stated, given))
    version = document.get("schemaVersion")
    if by_type or "fsLayers" in document or (type(version) is int and version == 1):
        raise InvalidDocument(
            f"{what} is of Docker schema 1, which is not supported: convert the image to schema 2"
        )
