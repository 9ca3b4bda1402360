"""One record of a layer's table: what stat(2) wants to know, and where the rest is.

A record has 64 bytes and no reference to the heap that `stat` would have to follow.  The byte order
is that of the machine (`tocformat`).  Offsets of the fields, for who unpacks a single one: 0
name_offset, 4 name_length, 6 mode, 8 uid, 12 gid, 16 mtime_ns, 24 size, 32 data, 40 parent, 44
nlink, 48 inode, 52 rare, 56 flags, 60 extra.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

RECORD = struct.Struct("=IHHIIqQQIIIIII")
RECORD_SIZE = 64

IMPLIED = 1  # a directory that no entry of the tar names, only paths below it
WHITEOUT = 2  # a name that begins with .wh. and is honoured as such
OPAQUE = 4  # a directory that hides what lower layers have in it
SPARSE = 8  # a regular file of which only pieces are stored
LOWER_LINK = 16  # a hard link to a path that this layer did not have at that entry
HAS_WHITEOUTS = 32  # a directory with at least one child that is a whiteout
XATTRS = 64  # extended attributes are in the table of rare things


class Record(NamedTuple):
    """A record, unpacked.  Hard links of one inode differ in name and parent only.

    A LOWER_LINK for whose path there is a later entry is of that inode, if no lower layer has the
    path: it has its attributes too, but data and extra are those of its own target.
    """

    name_offset: int  # in the heap
    name_length: int
    mode: int  # S_IFMT | 07777
    uid: int
    gid: int
    mtime_ns: int  # since 1970, may be negative
    size: int  # what stat(2) shows: bytes of the file, length of a symlink's text, else 0
    data: int  # REG: tar offset; DIR: first child; LNK, LOWER_LINK: heap offset; CHR, BLK: rdev
    parent: int  # index of the directory; the root is its own
    nlink: int  # names of this inode in this layer; 1 for a directory
    inode: int  # index of the record that stands for all hard links of the inode
    rare: int  # 0, or 1 + position in the table of rare things
    flags: int
    extra: int  # DIR: number of children; LNK and LOWER_LINK: length of the text; else 0
