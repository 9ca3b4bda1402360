"""The protocol of /dev/fuse, as far as direct.py speaks it (linux/fuse.h; fuse(4)).

All numbers are in the order of bytes of the machine; there is no padding but what is written here.
"""

from __future__ import annotations

from mmap import PAGESIZE
from struct import Struct

# Requests: enum fuse_opcode.
LOOKUP = 1
FORGET = 2
GETATTR = 3
READLINK = 5
OPEN = 14
READ = 15
WRITE = 16
RELEASE = 18
GETXATTR = 22
LISTXATTR = 23
FLUSH = 25
INTERRUPT = 36
NOTIFY_REPLY = 41
BATCH_FORGET = 42
READDIRPLUS = 44

NAMES = {
    LOOKUP: "lookup",
    FORGET: "forget",
    GETATTR: "getattr",
    READLINK: "readlink",
    OPEN: "open",
    READ: "read",
    WRITE: "write",
    RELEASE: "release",
    GETXATTR: "getxattr",
    LISTXATTR: "listxattr",
    FLUSH: "flush",
    INTERRUPT: "interrupt",
    NOTIFY_REPLY: "notify reply",
    BATCH_FORGET: "forget",
    READDIRPLUS: "readdir",
}
"""What they are called in messages."""

SERVED = frozenset((*range(1, 7), *range(8, 19), *range(20, 27), 30, 34, 35, 36, 38, 42, 44, 45))
"""Requests that are answered here, or that libfuse has a handler of pyfuse3 for.  All others are
ENOSYS, and the kernel does not ask again: OPENDIR (27) and RELEASEDIR (29) among them (readdir.py),
and READDIR (28), which is never sent beside READDIRPLUS."""

IN_HEADER = Struct("=4xIQQ16x")
"""Opcode, unique, node id of struct fuse_in_header."""

IN_PID = Struct("=32xI")
"""Who asks: the number of the thread; 0 if it has none here."""

OUT_HEADER = Struct("=IiQ")
"""Length, error (0 or minus an errno), unique: struct fuse_out_header."""

IN = IN_HEADER.size
"""Where the body of a request begins."""

OUT = OUT_HEADER.size

LARGEST = 256 * PAGESIZE + 4096
"""Bytes of the largest request: a WRITE of 256 pages with its headers (fuse_lowlevel.c,
FUSE_MAX_MAX_PAGES and FUSE_BUFFER_HEADER_SIZE)."""

_ATTR = "QQQQQQIIIIIIIIII"
"""struct fuse_attr: ino, size, blocks, atime, mtime, ctime, their nanoseconds, mode, nlink, uid,
gid, rdev, blksize, flags."""

ENTRY = Struct("=QQQQII" + _ATTR.replace("QQQQQQ", "QQQqqq", 1))
"""struct fuse_entry_out: node id, generation, seconds for which the name and the attributes may be
believed, their nanoseconds; attributes."""

DIRENTPLUS = Struct("=QQQQIIQQQqqqIIIIIIIIIIQQII")
"""struct fuse_direntplus without the name: an entry; ino, offset of the next one, length of the
name, type.  The next one begins at a multiple of 8."""

ATTR = Struct("=QII" + _ATTR.replace("QQQQQQ", "QQQqqq", 1))
"""struct fuse_attr_out: seconds, nanoseconds, padding; attributes."""

OPENED = Struct("=QII")
"""struct fuse_open_out: handle, flags, padding."""

DIRECT_IO = 1 << 0
KEEP_CACHE = 1 << 1
NOFLUSH = 1 << 5
"""Flags of it: FOPEN_*.  Kernels that do not know one take no notice of it."""

READING = Struct("=QQI")
"""The beginning of struct fuse_read_in: handle, offset, size."""

WRITING = Struct("=QQI20x")
"""struct fuse_write_in: handle, offset, size; the bytes follow."""

WRITTEN = Struct("=I4x")
"""struct fuse_write_out: size."""

FLAGS = Struct("=I")
"""The beginning of struct fuse_open_in: flags of open(2)."""

HANDLE = Struct("=Q")
"""The beginning of struct fuse_release_in and fuse_flush_in."""

SIZE = Struct("=I4x")
"""struct fuse_getxattr_in and fuse_getxattr_out."""

NOTIFY_FORGET_NAME = 3
"""FUSE_NOTIFY_INVAL_ENTRY, in the place of the error of a reply to nobody."""

FORGET_NAME = Struct("=QI4x")
"""struct fuse_notify_inval_entry_out: node id of the directory, length of the name, flags."""

FORGOTTEN = Struct("=Q")
"""struct fuse_forget_in: how many lookups."""

FORGOTTEN_MANY = Struct("=I4x")
"""struct fuse_batch_forget_in: how many inodes."""

FORGOTTEN_ONE = Struct("=QQ")
"""struct fuse_forget_one: node id, how many lookups."""
