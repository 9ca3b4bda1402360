"""CRC-64 as ISO 3309 has it and Go's hash/crc64 computes it (crc64.ISO).

The remainder of the bytes, as a polynomial over GF(2), divided by x**64 + x**4 + x**3 + x + 1.  A
square is linear there, so x**n, n = 64 * 2**k, leaves (x**(3*u) + 1) * (x**u + 1), u = 2**k: a
polynomial of 2*n bits is brought down to n with two shifts of one large integer.  That is as fast
as a table in C, and needs none.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_CHUNK = 1 << 16
"""Bytes that are one integer: as many as a processor has close at hand."""


def crc64(data: bytes | memoryview, value: int = 0) -> int:
    """The checksum of *data*, after bytes whose checksum is *value*."""
    state = ~value & _MASK
    for begin in range(0, len(data), _CHUNK):
        chunk = data[begin : begin + _CHUNK]
        bits = 8 * len(chunk)
        # The lowest bit is the first one sent, and the coefficient of the highest power.
        if bits >= 64:
            state = _remainder(int.from_bytes(chunk, "little") ^ state, bits + 64)
        else:
            low = state & ((1 << bits) - 1)
            state = _remainder(int.from_bytes(chunk, "little") ^ low, bits + 64) ^ (state >> bits)
    return ~state & _MASK


def _remainder(value: int, width: int) -> int:
    """What is left of the polynomial *value* of *width* bits, at least 64."""
    size = 64
    while 2 * size < width:
        size *= 2
    while width > 64:
        while size >= width:
            size //= 2
        unit = size // 64
        high_width = width - size
        high = value & ((1 << high_width) - 1)
        high ^= high << unit
        high ^= high << 3 * unit
        high_width += 4 * unit
        low = value >> (width - size)
        width = max(size, high_width)
        value = (low << (width - size)) ^ (high << (width - high_width))
    return value
