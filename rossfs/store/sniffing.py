"""What bytes are, when nobody said: their media type."""

from __future__ import annotations

import os

from rossfs.oci.mediatype import OCTET_STREAM, layer_from_magic
from rossfs.oci.recognise import recognise

DOCUMENT_LIMIT = 4 << 20
"""Bytes of the largest manifest or index (distribution-spec, "Pushing Manifests")."""

_MAGIC = 512
_JSON_STARTS = b"{ \t\r\n"


def document_type(data: bytes) -> str | None:
    """The media type of the manifest or index that *data* is, or None."""
    # Most small blobs are no JSON at all.
    if not data or data[0] not in _JSON_STARTS or len(data) > DOCUMENT_LIMIT:
        return None
    return recognise(data)


def media_type_of(fd: int, size: int) -> str:
    """The media type of the open file *fd* of *size* bytes: a manifest or index of at most 4 MiB, a
    layer by its magic bytes, else application/octet-stream."""
    head = os.pread(fd, _MAGIC, 0)
    if head[:1].strip(_JSON_STARTS) == b"" and size <= DOCUMENT_LIMIT:
        found = document_type(read_whole(fd, size))
        if found is not None:
            return found
    return layer_from_magic(head) or OCTET_STREAM


def read_whole(fd: int, size: int) -> bytes:
    """The first *size* bytes of the file *fd*, or all if there are fewer."""
    data = os.pread(fd, size, 0)
    while len(data) < size and (more := os.pread(fd, size - len(data), len(data))):
        data += more
    return data
