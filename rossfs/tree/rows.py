"""Rows of a directory that lies in one layer, straight from its records."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from rossfs.image.record import RECORD, RECORD_SIZE
from rossfs.image.toc import Toc

Plain = tuple[bytes, int, int, int, int, int, int, int, int]
"""The fields of node.Row."""

_S_IFMT = 0o170000
_S_IFDIR = stat.S_IFDIR
DEVICES = (stat.S_IFCHR, stat.S_IFBLK)


def rows_of(toc: Toc, children: range, files: int, directories: int) -> Iterator[Plain]:
    """A row for each record of *children*, which are next to each other; *files* and *directories*
    are what is added to an index for the number of the one or the other."""
    buffer, heap = toc.buffer, toc.heap_offset
    start = toc.records_offset + RECORD_SIZE * children.start
    records = buffer[start : start + RECORD_SIZE * len(children)]
    for at, length, mode, uid, gid, mtime_ns, size, _, _, nlink, inode, _, _, _ in (
        RECORD.iter_unpack(records)
    ):  # fmt: skip
        at += heap
        kind = mode & _S_IFMT
        yield (
            buffer[at : at + length],
            inode + (directories if kind == _S_IFDIR else files),
            mode,
            size,
            nlink,
            uid,
            gid,
            toc.rdev(inode) if kind in DEVICES else 0,
            mtime_ns,
        )
