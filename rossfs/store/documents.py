"""Manifests and indexes as collection sees them: what each refers to.

A document that is neither manifest nor index as far as rossfs can tell (an old schema, a field that
breaks the specification) refers to every digest that its bytes mention: too much is kept rather
than too little.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from rossfs.errors import Damaged, InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.oci.index import Index
from rossfs.oci.mediatype import Kind, kind_of
from rossfs.oci.recognise import parse_as
from rossfs.store import smallfile
from rossfs.store.paths import Area, Paths
from rossfs.store.sniffing import DOCUMENT_LIMIT

AREAS = (Area.INDEXES, Area.MANIFESTS)
"""Where documents lie; an index in both."""

_MENTIONED = re.compile(rb"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})(?![0-9a-f])")


class Need(NamedTuple):
    """One thing that a document refers to."""

    digest: Digest
    is_document: bool
    """A manifest or index, which needs more in turn."""
    is_subject: bool = False
    """It may be missing, and be removed (image-spec manifest.md)."""


def needs(data: bytes) -> Iterator[Need]:
    """What the document *data* refers to; never raises."""
    try:
        document = parse_as(data, "")
    except InvalidDocument:
        for match in _MENTIONED.finditer(data):
            yield Need(Digest.parse(match[0]), True)
        return
    everything = isinstance(document, Index)
    for descriptor in document.references():
        of_kind = kind_of(descriptor.media_type)
        yield Need(descriptor.digest, everything or of_kind in (Kind.MANIFEST, Kind.INDEX))
    if document.subject is not None:
        yield Need(document.subject.digest, True, True)


def read_document(paths: Paths, digest: Digest) -> bytes | None:
    """The bytes of *digest* if it lies in manifests/ or indexes/, whatever it is; None if not.

    Damaged unless they hash to it.
    """
    if not digest.is_stored:
        return None
    damage = None
    for area in AREAS:
        try:
            data = _read(paths.content(area, digest), digest)
        except Damaged as error:
            # The other area may have a copy that is right.
            damage = error
            continue
        if data is not None:
            return data
    if damage is not None:
        raise damage
    return None


def read_filed_as_blob(paths: Paths, digest: Digest) -> bytes | None:
    """The bytes of *digest* if it is a blob and no longer than a manifest may be; None if not.

    Damaged unless they hash to it.
    """
    if not digest.is_stored:
        return None
    path = paths.content(Area.BLOBS, digest)
    try:
        if os.lstat(path).st_size > DOCUMENT_LIMIT:
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _read(path, digest)


def is_stored(paths: Paths, digest: Digest) -> bool:
    """Whether something lies in manifests/ or indexes/ under *digest*."""
    return any(os.path.lexists(paths.content(area, digest)) for area in AREAS)


def _read(path: str, digest: Digest) -> bytes | None:
    try:
        data = smallfile.read(path, DOCUMENT_LIMIT)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL):
            return None
        if error.errno == errno.EFBIG:
            raise Damaged(
                f"{digest} is no manifest: it has more than {DOCUMENT_LIMIT} bytes"
            ) from error
        raise
    actual = Digest.of(data, digest.algorithm)
    if actual != digest:
        raise Damaged(f"{digest} is damaged: its {len(data)} bytes hash to {actual}")
    return data
