"""The fields of header blocks."""

from __future__ import annotations

import contextlib
import tarfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rossfs.image.tarheader import (
    ADLER_MODULUS,
    FIELDS,
    Owners,
    Sums,
    Times,
    device,
    is_signed,
    number,
    owner,
    prefixed,
)
from tests.layers import BLOCK, GNU, USTAR, V7, block


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"0000644 ", 0o644),
        (b"00000644", 0o644),
        (b"644\0\0\0\0\0", 0o644),
        (b"\x00000644\0", 0o644),
        (b"644\0junk", 0o644),
        (b"77777777", 0o77777777),
        (b"        ", 0),
        (bytes(8), 0),
        (b"\x80\0\0\0\0\0\1\0", 256),
        (b"\x80" + b"\xff" * 7, (1 << 56) - 1),
        (b"\xff" * 8, -1),
        (b"\xff\xff\xff\xff\xff\xff\xff\0", -256),
        (b"\xbf" + b"\xff" * 7, (1 << 62) - 1),
        (b"\xc0" + bytes(7), -(1 << 62)),
    ],
)
def test_numbers_are_octal_or_in_base_256(field: bytes, value: int) -> None:
    assert number(field) == value


@pytest.mark.parametrize(
    "field",
    [
        b"0000648\0",
        b"0x1234\0\0",
        b"-000001\0",
        b"+000001\0",
        b"0_00001\0",
        b"12 34  \0",
        b"garbage!",
    ],
)
def test_what_is_no_number_is_not_taken_for_one(field: bytes) -> None:
    with pytest.raises(ValueError, match="has a number in its header that is none"):
        number(field)


@given(st.integers(-(1 << 62), (1 << 62) - 1), st.sampled_from([8, 12]))
def test_numbers_are_read_as_tarfile_writes_them(value: int, width: int) -> None:
    limit = 256 ** (width - 1)
    value = value % limit if value >= 0 else -(-value % limit)
    assert number(tarfile.itn(value, width, tarfile.GNU_FORMAT)) == value  # type: ignore[attr-defined]


@given(st.binary(min_size=12, max_size=12))
def test_any_field_is_a_number_or_none(field: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert -(1 << 94) <= number(field) < 1 << 94


@pytest.mark.parametrize(
    ("value", "kept"), [(0, 0), ((1 << 32) - 1, (1 << 32) - 1), (-2, 0xFFFFFFFE)]
)
def test_owners_have_32_bits(value: int, kept: int) -> None:
    assert owner(value) == kept


@pytest.mark.parametrize("value", [1 << 32, -(1 << 31) - 1])
def test_owners_over_32_bits_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="over 32 bits"):
        owner(value)


def test_devices_are_those_that_linux_can_have() -> None:
    assert device(b"0007777\0" + b"3777777\0") == (4095, 1048575)
    with pytest.raises(ValueError, match="out of range"):
        device(b"0010000\0" + b"0000000\0")
    with pytest.raises(ValueError, match="out of range"):
        device(b"0000000\0" + b"\xff" * 8)


@pytest.mark.parametrize("magic", [USTAR, b"ustar\0\0\0", b"ustar\0  "])
def test_the_prefix_of_ustar_stands_before_the_name(magic: bytes) -> None:
    assert prefixed(b"name", block(b"name", b"0", magic=magic, prefix=b"some/path")) == (
        b"some/path/name"
    )


def test_the_prefix_of_star_ends_where_its_times_begin() -> None:
    times = b"00000000001\0" + b"00000000002\0"
    tail = b"p" * 131 + times + bytes(8) + b"tar\0"
    header = block(b"name", b"0", magic=b"ustar\x0000", tail=tail)
    assert prefixed(b"name", header) == b"p" * 131 + b"/name"


def test_gnu_and_v7_have_no_prefix() -> None:
    times = b"14300000000\0" + b"14300000001\0"
    assert prefixed(b"name", block(b"name", b"0", magic=GNU, tail=times)) == b"name"
    assert prefixed(b"name", block(b"name", b"0", magic=V7, prefix=b"some/path")) == b"name"


def test_a_prefix_where_gnu_has_times_is_taken_as_go_takes_it() -> None:
    assert prefixed(b"name", block(b"name", b"0", magic=GNU, prefix=b"usr/share/x")) == (
        b"usr/share/x/name"
    )
    assert prefixed(b"name", block(b"name", b"0", magic=GNU, prefix=b"caf\xe9/x")) == b"name"


@given(st.binary(min_size=BLOCK, max_size=BLOCK))
def test_checksums_are_those_of_tarfile(noise: bytes) -> None:
    unsigned, signed = tarfile.calc_chksums(noise)  # type: ignore[attr-defined]
    right = noise[:148] + b"%07o\0" % unsigned + noise[156:]
    assert zlib.adler32(right) & 0xFFFF == Sums()[right[148:156]]
    wrong = noise[:148] + b"%07o\0" % (unsigned + 1) + noise[156:]
    assert zlib.adler32(wrong) & 0xFFFF != Sums()[wrong[148:156]]
    if signed >= 0:
        assert is_signed(noise[:148] + b"%07o\0" % signed + noise[156:])
    assert not is_signed(noise[:148] + b"%07o\0" % (unsigned + 300_000) + noise[156:])


def test_a_checksum_that_is_no_number_is_never_right() -> None:
    assert Sums()[b"garbage!"] not in range(ADLER_MODULUS)
    assert not is_signed(block(b"name", b"0", checksum=b"garbage!"))


def test_what_is_remembered_of_fields_is_bounded() -> None:
    sums, owners, times = Sums(), Owners(), Times()
    for value in range(20_000):
        assert sums[b"%07o\0" % value] >= 0
        assert times[b"%011o\0" % value] == value * 1_000_000_000
        assert owners[b"0107755\0" + b"%07o\0" % value + b"0000001\0"] == (0o7755, value, 1)
    assert max(len(sums), len(owners), len(times)) <= 8192


def test_times_stay_in_64_bits() -> None:
    assert Times()[b"\xff" * 12] == -1_000_000_000
    assert Times()[b"\x80" + b"\xff" * 11] == (1 << 63) - 1
    assert Times()[b"\xc0" + bytes(11)] == -(1 << 63)


def test_fields_are_where_the_standard_has_them() -> None:
    header = block(b"n", b"3", mode=1, uid=2, gid=3, size=4, mtime=5, link=b"l", device=(6, 7))
    member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    name, owners, size, mtime, _, flag, link, magic, devices, prefix = FIELDS.unpack(header)
    assert (name.rstrip(b"\0"), link.rstrip(b"\0"), flag) == (b"n", b"l", member.type)
    assert Owners()[owners] == (member.mode, member.uid, member.gid)
    assert (number(size), number(mtime)) == (member.size, member.mtime)
    assert device(devices) == (member.devmajor, member.devminor)
    assert (magic, prefix) == (USTAR, bytes(155))
