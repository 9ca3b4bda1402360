from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from rossfs.image.crc64 import crc64


def by_bits(data: bytes, value: int = 0) -> int:
    """One bit after the other, as ISO 3309 says it."""
    mask = (1 << 64) - 1
    value = ~value & mask
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xD800000000000000 if value & 1 else 0)
    return ~value & mask


def test_known_values() -> None:
    """The first two are of Go, hash/crc64/crc64_test.go, the others what podman 4.3.1 wrote."""
    assert crc64(b"") == 0
    assert crc64(b"a") == 0x3420000000000000
    assert crc64(b"x\n") == 0x6153100000000000
    assert crc64(b"t2\n") == 0x6131D85000000000


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_it_goes_on_after_what_was_counted(one: bytes, other: bytes) -> None:
    assert crc64(other, crc64(one)) == crc64(one + other) == by_bits(one + other)


def test_long_data() -> None:
    data = random.Random(1).randbytes(200_001)
    assert crc64(data) == by_bits(data)
    assert crc64(memoryview(data)[5:], crc64(data[:5])) == crc64(data)
