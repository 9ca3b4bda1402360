"""The fields of a header block: 512 bytes, numbers in octal or in base 256.

Sources: pax(1), "ustar Interchange Format"; tar(5) of FreeBSD for v7 and GNU; where readers differ,
what Go's archive/tar does, because that is what container tools read layers with.
"""

from __future__ import annotations

from struct import Struct

BLOCK = 512
ZEROS = bytes(BLOCK)

FIELDS = Struct("100s24s12s12s8sc100s8s64x16s155s12x")
"""name, (mode, uid, gid), size, mtime, chksum, typeflag, linkname, magic and version,
(devmajor, devminor), prefix."""

GNU_MAGIC = b"ustar  \0"
USTAR_MAGIC = b"ustar\0"

ADLER_MODULUS = 65521

_MEMO_LIMIT = 8192
_MAJOR_LIMIT, _MINOR_LIMIT = 1 << 12, 1 << 20  # of Linux: include/linux/kdev_t.h
_STAR_TRAILER = b"tar\0"


def number(field: bytes) -> int:
    """Return the number of a field; ValueError if there is none.

    Octal digits with spaces or NULs around them, nothing for 0; or, if the first bit is set, the
    rest of the bits as a number in two's complement.
    """
    digits = field.strip(b" \0")
    if not digits.isdigit():
        if field[0] & 0x80:
            bits = 8 * len(field) - 1
            value = int.from_bytes(field, "big") - (1 << bits)
            return value - (1 << bits) if value >> (bits - 1) else value
        digits = digits.partition(b"\0")[0].rstrip(b" ")
        if not digits:
            return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise ValueError("has a number in its header that is none")
    return int(digits, 8)


def owner(value: int) -> int:
    """Return a user or group number as the 32 bits that the kernel keeps of it, -2 as 2**32 - 2;
    ValueError if it does not fit."""
    if not -(1 << 31) <= value < 1 << 32:
        raise ValueError("belongs to a user or group whose number is over 32 bits")
    return value & 0xFFFFFFFF


def device(fields: bytes) -> tuple[int, int]:
    """Return major and minor number; ValueError if Linux has no such device."""
    major, minor = number(fields[:8]), number(fields[8:])
    if not (0 <= major < _MAJOR_LIMIT and 0 <= minor < _MINOR_LIMIT):
        raise ValueError("is a device whose number is out of range")
    return major, minor


def text(field: bytes) -> bytes:
    """Return what stands before the first NUL."""
    return field.partition(b"\0")[0]


def prefixed(name: bytes, block: bytes) -> bytes:
    """Return *name* with what the header has in place of a prefix in front, if it is one.

    star ends it earlier.  GNU has times there; but writers in Go before 1.8 put a prefix into
    headers with the magic of GNU, and many old images were written so (archive/tar, reader.go).
    """
    magic = block[257:265]
    if magic == GNU_MAGIC:
        prefix = text(block[345:500])
        if _are_times(block[345:369]) or not prefix.isascii():
            return name
    elif magic.startswith(USTAR_MAGIC):
        prefix = text(block[345:476] if block[508:] == _STAR_TRAILER else block[345:500])
    else:
        return name
    return prefix + b"/" + name if prefix else name


def _are_times(fields: bytes) -> bool:
    try:
        number(fields[:12])
        number(fields[12:])
    except ValueError:
        return False
    return True


def is_signed(block: bytes) -> bool:
    """Whether the checksum is right if bytes are taken as signed, as some old writers did."""
    counted = block[:148] + b" " * 8 + block[156:]
    signed = sum(counted) - 256 * sum(byte > 127 for byte in counted)
    try:
        return number(block[148:156]) == signed
    except ValueError:
        return False


class Sums(dict[bytes, int]):
    """For each checksum field: what the low half of the block's Adler-32 must be.

    Adler-32 (RFC 1950) has the sum of all bytes plus 1, modulo 65,521, in its low half, and is
    thirty times as fast as `sum`.
    """

    def __missing__(self, field: bytes) -> int:
        if len(self) >= _MEMO_LIMIT:
            self.clear()
        try:
            # The checksum counts its own field as eight spaces.
            low = (number(field) + sum(field) - 8 * 0x20 + 1) % ADLER_MODULUS
        except ValueError:
            low = -1
        self[field] = low
        return low


class Owners(dict[bytes, tuple[int, int, int]]):
    """For the 24 bytes of mode, uid and gid: these; ValueError if they make no sense."""

    def __missing__(self, fields: bytes) -> tuple[int, int, int]:
        if len(self) >= _MEMO_LIMIT:
            self.clear()
        mode = number(fields[:8]) & 0o7777
        value = mode, owner(number(fields[8:16])), owner(number(fields[16:]))
        self[fields] = value
        return value


class Times(dict[bytes, int]):
    """For an mtime field: nanoseconds since 1970, at most what 63 bits hold."""

    def __missing__(self, field: bytes) -> int:
        if len(self) >= _MEMO_LIMIT:
            self.clear()
        value = self[field] = clamped(number(field) * 1_000_000_000)
        return value


def clamped(nanoseconds: int) -> int:
    """Return the nearest number that a signed 64 bit field holds."""
    return max(-(1 << 63), min(nanoseconds, (1 << 63) - 1))
