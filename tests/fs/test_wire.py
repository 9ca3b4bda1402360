"""Sizes and numbers as linux/fuse.h has them (protocol 7.38)."""

from __future__ import annotations

import sys
from struct import Struct

import pytest

from rossfs.fs import wire

IN_HEADER = 40  # struct fuse_in_header
OUT_HEADER = 16  # struct fuse_out_header
ENTRY_OUT = 128  # struct fuse_entry_out
ATTR_OUT = 104  # struct fuse_attr_out
OPEN_OUT = 16  # struct fuse_open_out
DIRENTPLUS = 152  # FUSE_NAME_OFFSET_DIRENTPLUS
GETXATTR = 8  # struct fuse_getxattr_in, struct fuse_getxattr_out
FORGET_IN = 8  # struct fuse_forget_in
FORGET_ONE = 16  # struct fuse_forget_one
BATCH_FORGET_IN = 8  # struct fuse_batch_forget_in
INVAL_ENTRY_OUT = 16  # struct fuse_notify_inval_entry_out


@pytest.mark.parametrize(
    ("struct", "size"),
    [
        (wire.IN_HEADER, IN_HEADER),
        (wire.OUT_HEADER, OUT_HEADER),
        (wire.ENTRY, ENTRY_OUT),
        (wire.ATTR, ATTR_OUT),
        (wire.OPENED, OPEN_OUT),
        (wire.DIRENTPLUS, DIRENTPLUS),
        (wire.SIZE, GETXATTR),
        (wire.FORGOTTEN, FORGET_IN),
        (wire.FORGOTTEN_ONE, FORGET_ONE),
        (wire.FORGOTTEN_MANY, BATCH_FORGET_IN),
        (wire.FORGET_NAME, INVAL_ENTRY_OUT),
    ],
)
def test_whole_structs_have_the_sizes_of_the_kernel(struct: Struct, size: int) -> None:
    assert struct.size == size


@pytest.mark.parametrize(
    ("struct", "end"),
    [
        (wire.READING, 20),  # struct fuse_read_in, up to read_flags
        (wire.FLAGS, 4),  # struct fuse_open_in, up to open_flags
        (wire.HANDLE, 8),  # struct fuse_release_in, up to flags; struct fuse_flush_in, up to unused
    ],
)
def test_beginnings_of_structs_end_where_the_next_field_is(struct: Struct, end: int) -> None:
    assert struct.size == end


def test_headers_are_where_bodies_begin() -> None:
    assert (wire.IN, wire.OUT) == (IN_HEADER, OUT_HEADER)


def test_opcodes_are_those_of_the_kernel() -> None:
    """enum fuse_opcode."""
    assert wire.LOOKUP == 1
    assert wire.FORGET == 2
    assert wire.GETATTR == 3
    assert wire.READLINK == 5
    assert wire.OPEN == 14
    assert wire.READ == 15
    assert wire.RELEASE == 18
    assert wire.GETXATTR == 22
    assert wire.LISTXATTR == 23
    assert wire.FLUSH == 25
    assert wire.INTERRUPT == 36
    assert wire.NOTIFY_REPLY == 41
    assert wire.BATCH_FORGET == 42
    assert wire.READDIRPLUS == 44


def test_libfuse_is_given_what_pyfuse3_has_handlers_for() -> None:
    without = {
        7,  # was never used
        19,  # nor was this
        27,  # OPENDIR: listings need none
        28,  # READDIR: READDIRPLUS is asked
        29,  # RELEASEDIR
        31,  # GETLK
        32,  # SETLK
        33,  # SETLKW
        37,  # BMAP
        39,  # IOCTL
        40,  # POLL
        41,  # NOTIFY_REPLY
        43,  # FALLOCATE
        *range(46, 60),  # LSEEK, COPY_FILE_RANGE, ... SYNCFS, TMPFILE, what is to come
    }
    assert set(range(1, 60)) - without == wire.SERVED


def test_flags_are_those_of_the_kernel() -> None:
    """FOPEN_KEEP_CACHE, FOPEN_NOFLUSH; FUSE_NOTIFY_INVAL_ENTRY."""
    assert wire.KEEP_CACHE == 0x02
    assert wire.NOFLUSH == 0x20
    assert wire.NOTIFY_FORGET_NAME == 3


def test_the_header_of_a_request_is_read_as_the_kernel_writes_it() -> None:
    header = (
        b"\x2c\x00\x00\x00"  # len
        b"\x01\x00\x00\x00"  # opcode
        b"\x06\x00\x00\x00\x00\x00\x00\x80"  # unique
        b"\x07\x00\x00\x00\x05\x00\x00\x00"  # nodeid
        b"\xe8\x03\x00\x00"  # uid
        b"\xe9\x03\x00\x00"  # gid
        b"\xea\x03\x00\x00"  # pid
        b"\xff\xff\x00\x00"  # total_extlen, padding
    )
    if sys.byteorder == "little":
        assert wire.IN_HEADER.unpack(header) == (1, 1 << 63 | 6, 5 << 32 | 7)
        assert wire.IN_PID.unpack_from(header) == (1002,)


def test_errors_are_signed_and_times_may_be_before_1970() -> None:
    length, error, _ = wire.OUT_HEADER.unpack(wire.OUT_HEADER.pack(16, -2, 9))
    assert (length, error) == (16, -2)
    attr = [0] * 16
    attr[3:6] = -1, -2, -3
    assert wire.ENTRY.unpack(wire.ENTRY.pack(*[0] * 6, *attr))[9:12] == (-1, -2, -3)
    assert wire.ATTR.unpack(wire.ATTR.pack(*[0] * 3, *attr))[6:9] == (-1, -2, -3)
    entry = wire.DIRENTPLUS.pack(*[0] * 6, *attr, *[0] * 4)
    assert wire.DIRENTPLUS.unpack(entry)[9:12] == (-1, -2, -3)


def test_every_answer_has_a_name_for_messages() -> None:
    assert set(wire.NAMES) <= {*wire.SERVED, wire.NOTIFY_REPLY}


def test_a_request_of_256_pages_has_room() -> None:
    write_in = 40  # struct fuse_write_in
    assert 256 * 4096 + IN_HEADER + write_in <= wire.LARGEST
