"""What stored bytes are, when nobody said: their media type."""

from __future__ import annotations

import os

from rossfs.oci.document import MAX_BYTES
from rossfs.oci.mediatype import OCTET_STREAM, layer_from_magic
from rossfs.oci.recognise import recognise

DOCUMENT_LIMIT = MAX_BYTES
"""Bytes of the largest manifest or index (distribution-spec, "Pushing Manifests")."""

_MAGIC = 512


def media_type_of(fd: int, size: int) -> str:
    """The media type of the open file *fd* of *size* bytes: a manifest or index of at most 4 MiB, a
    layer by its magic bytes, else application/octet-stream."""
    found = recognise(read_whole(fd, size)) if size <= DOCUMENT_LIMIT else None
    return found or layer_from_magic(os.pread(fd, _MAGIC, 0)) or OCTET_STREAM


def read_whole(fd: int, size: int) -> bytes:
    """The first *size* bytes of the file *fd*, or all if there are fewer."""
    data = os.pread(fd, size, 0)
    while len(data) < size and (more := os.pread(fd, size - len(data), len(data))):
        data += more
    return data
