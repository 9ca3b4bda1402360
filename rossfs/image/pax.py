"""Records of PAX extended headers: `length keyword=value\\n`, all bytes.

Kept is only what a layer means with them: names, owners, times, sizes, sparse maps and extended
attributes.  What nobody asks for (atime, comment, ...) costs no memory.  Source: pax(1), "pax
Extended Header"; GNU tar manual, "Storing Sparse Files"; libarchive-formats(5) for LIBARCHIVE.*.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from rossfs.image.tarheader import clamped

Records = dict[bytes, bytes]

PATH, LINKPATH, SIZE = b"path", b"linkpath", b"size"
UID, GID, MTIME = b"uid", b"gid", b"mtime"
SPARSE = b"GNU.sparse."
SPARSE_MAP = b"GNU.sparse.map"

GLOBAL = (UID, GID, MTIME)
"""What a global header can say.  Names, sizes and attributes that every entry shares make no sense,
and 64 KiB of them for each of a million entries would be a bomb."""

XATTR_LIMIT = 1 << 14
"""Extended attributes of one entry; the kernel lists at most 64 KiB of names."""

_SCHILY = b"SCHILY.xattr."
_LIBARCHIVE = b"LIBARCHIVE.xattr."
_OFFSET, _NUMBYTES = b"GNU.sparse.offset", b"GNU.sparse.numbytes"
_KEPT = frozenset((PATH, LINKPATH, SIZE, UID, GID, MTIME))
_KEPT_PREFIXES = (_SCHILY, _LIBARCHIVE, SPARSE)
_NAME_LIMIT = 255  # XATTR_NAME_MAX, xattr(7)


def parse(body: bytes) -> Records:
    """Return the records, the last of each keyword; ValueError if *body* is not made of records.

    The pairs of records that make a sparse map of format 0.0 come as the one record of format 0.1.
    """
    records: Records = {}
    pieces: list[bytes] = []
    xattrs = 0
    position, size = 0, len(body)
    while position < size:
        space = body.find(b" ", position, position + 20)
        digits = body[position:space]
        if space < 0 or not digits.isdigit():
            raise ValueError("has no length where a record begins")
        end = position + int(digits)
        equals = body.find(b"=", space, end)
        if end > size or equals <= space + 1 or body[end - 1] != 0x0A:
            raise ValueError("has a record that is cut")
        keyword = body[space + 1 : equals]
        position = end
        if keyword in _KEPT:
            records[keyword] = body[equals + 1 : end - 1]
        elif keyword.startswith(_KEPT_PREFIXES):
            value = body[equals + 1 : end - 1]
            if keyword in (_OFFSET, _NUMBYTES):
                if (keyword == _OFFSET) != (len(pieces) % 2 == 0):
                    raise ValueError("has a sparse map that is cut")
                pieces.append(value)
            else:
                records[keyword] = value
                xattrs += 1
                if xattrs > XATTR_LIMIT:
                    raise ValueError(f"has more than {XATTR_LIMIT} attributes")
    if pieces:
        records[SPARSE_MAP] = b",".join(pieces)
    return records


def decimal(value: bytes) -> int:
    """Return the number; ValueError, with the reason, if there is none of at most 19 digits."""
    digits = value.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 19:
        raise ValueError("has a number in its PAX header that is none")
    return int(value)


def nanoseconds(value: bytes) -> int:
    """Return a time as nanoseconds since 1970, what is finer cut off, at most what 63 bits hold;
    ValueError, with the reason, if it is no time."""
    digits = value.removeprefix(b"-")
    seconds, _, fraction = digits.partition(b".")
    if not (seconds and (seconds + fraction).isdigit()) or len(digits) > 64:
        raise ValueError("has a time in its PAX header that is none")
    total = int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    return clamped(-total if value.startswith(b"-") else total)


def xattrs(records: Records) -> dict[bytes, bytes] | None:
    """Return the extended attributes, None if there are none.

    star's form is taken before libarchive's: it holds the bytes as they are.  A name that Linux
    could not have is left out.
    """
    found: dict[bytes, bytes] = {}
    for keyword, value in records.items():
        if keyword.startswith(_LIBARCHIVE):
            try:
                decoded = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
            except binascii.Error:
                continue
            found[unquote_to_bytes(keyword[len(_LIBARCHIVE) :])] = decoded
    for keyword, value in records.items():
        if keyword.startswith(_SCHILY):
            found[keyword[len(_SCHILY) :]] = value
    for name in [name for name in found if not 0 < len(name) <= _NAME_LIMIT or b"\0" in name]:
        del found[name]
    return found or None
