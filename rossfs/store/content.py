"""Stored content: what find tells of it, and the seal that says who wrote its bytes.

rossfs hashes bytes on their way in and then gives the file a modification time whose nanoseconds
follow from the digest and the seconds: the seal.  Any later write by a program changes the
modification time and so breaks the seal (by accident it would hold once in 10^9).  Content with a
seal is *proven*; all other content (what Ross wrote, what was changed in place) is hashed whole
before its first byte is served.  On a file system that keeps times less exactly there are no
seals, and everything is hashed once.
"""

from __future__ import annotations

from typing import NamedTuple

from rossfs.oci.digest import Digest
from rossfs.store.paths import Area

_SECOND = 10**9


class Content(NamedTuple):
    """One stored content, as it was found.  Holding one means that it was there a moment ago."""

    digest: Digest
    area: Area
    """What it counts as.  A list that Ross filed in manifests/ has INDEXES here."""
    path: str
    media_type: str
    size: int
    """Bytes, of the file itself."""
    created_at: int
    """Unix seconds."""
    accessed_at: int
    modified_ns: int
    """Of the file; the grace period of collection counts from here."""
    inode: int
    proven: bool
    """rossfs hashed these bytes on their way in, and nobody wrote to them since."""
    changed_ns: int
    """The file's ctime."""


class Unproven(Exception):
    """Raised by `find` when nothing tells what the bytes are: there is no usable .meta, or it names
    another size.  `Contents.settle` hashes them, once; afterwards `find` answers."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"{digest} has no usable .meta")
        self.digest = digest


def seal(digest: Digest, seconds: int) -> int:
    """The modification time in nanoseconds that seals the content of *digest* at *seconds*."""
    return seconds * _SECOND + _mark(digest.hex, seconds)


def is_sealed(digest: Digest, modified_ns: int) -> bool:
    """Whether a modification time is one that `seal` gave."""
    return modified_ns % _SECOND == _mark(digest.hex, modified_ns // _SECOND)


def _mark(encoded: str, seconds: int) -> int:
    # Never 0: that is what a file system with coarse times makes of every time.
    return (int(encoded[:12], 16) + seconds * 7919) % (_SECOND - 1) + 1
