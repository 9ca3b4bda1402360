"""Records of PAX headers."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rossfs.image import pax
from tests.layers import record

KEYWORDS = st.sampled_from([b"path", b"linkpath", b"uid", b"mtime", b"SCHILY.xattr.user.a"])


@given(st.lists(st.tuples(KEYWORDS, st.binary(max_size=200)), max_size=6))
def test_records_come_out_as_they_went_in(records: list[tuple[bytes, bytes]]) -> None:
    assert pax.parse(b"".join(record(*pair) for pair in records)) == dict(records)


def test_what_nobody_asks_for_is_not_kept() -> None:
    body = record("atime", b"1") + record("comment", b"x" * 100_000) + record("uid", b"7")
    assert pax.parse(body) == {b"uid": b"7"}


def test_a_value_may_hold_newlines_equals_signs_and_nul() -> None:
    assert pax.parse(record("SCHILY.xattr.user.a", b"\n=\0=\n")) == {
        b"SCHILY.xattr.user.a": b"\n=\0=\n"
    }


def test_the_records_of_sparse_0_0_become_the_one_of_0_1() -> None:
    pairs = [("offset", b"0"), ("numbytes", b"512"), ("offset", b"4096"), ("numbytes", b"1")]
    body = b"".join(record(f"GNU.sparse.{name}", value) for name, value in pairs)
    assert pax.parse(body) == {b"GNU.sparse.map": b"0,512,4096,1"}


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"0 path=a\n",
        b"3 path=a\n",
        b"5 path=a\n",
        b"9 path=ab\n",
        b"11 path=a\n",
        b"999999999999999999 path=a\n",
        b"99999999999999999999999999 path=a\n",
        b"-9 path=a\n",
        b"+10 path=a\n",
        b" 10 path=a\n",
        b"10path=a\n",
        b"7 path\n",
        b"6 =ab\n",
        b"10 path=a\n\0",
        b"10 path=a\0",
        record("path", b"a")[:-1],
        record("GNU.sparse.numbytes", b"1"),
        record("GNU.sparse.offset", b"1") * 2,
    ],
)
def test_what_is_not_made_of_records_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^has a|^has no length"):
        pax.parse(body)


@given(st.binary(max_size=300))
def test_noise_is_records_or_refused(noise: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert sum(map(len, pax.parse(noise))) < len(noise) or noise == b""


def test_attributes_without_end_are_refused() -> None:
    body = b"".join(record(f"SCHILY.xattr.user.{i}", b"") for i in range(pax.XATTR_LIMIT + 1))
    with pytest.raises(ValueError, match="more than 16384 attributes"):
        pax.parse(body)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"0", 0),
        (b"1700000000", 1_700_000_000_000_000_000),
        (b"1700000000.123456789", 1_700_000_000_123_456_789),
        (b"1700000000.1234567891234", 1_700_000_000_123_456_789),
        (b"1.5", 1_500_000_000),
        (b"1.", 1_000_000_000),
        (b"-1", -1_000_000_000),
        (b"-1.5", -1_500_000_000),
        (b"-0.000000001", -1),
        (b"4102444800.25", 4_102_444_800_250_000_000),
        (b"99999999999999999999", (1 << 63) - 1),
        (b"-99999999999999999999.9", -(1 << 63)),
    ],
)
def test_times_are_exact_to_the_nanosecond(value: bytes, expected: int) -> None:
    assert pax.nanoseconds(value) == expected


@pytest.mark.parametrize("value", [b"", b"-", b".5", b"1e5", b"nan", b"1.-5", b"--1", b"9" * 65])
def test_what_is_no_time_is_not_taken_for_one(value: bytes) -> None:
    with pytest.raises(ValueError, match="has a time in its PAX header that is none"):
        pax.nanoseconds(value)


@pytest.mark.parametrize("value", [b"", b"-", b"1.0", b" 1", b"1_0", b"0x1", b"1" * 20, b"\xb2"])
def test_what_is_no_number_is_not_taken_for_one(value: bytes) -> None:
    with pytest.raises(ValueError, match="has a number in its PAX header that is none"):
        pax.decimal(value)


def test_attributes_of_star_are_bytes_as_they_are() -> None:
    value = bytes(range(256)) * 400
    assert pax.xattrs({b"SCHILY.xattr.user.a=b": value, b"SCHILY.xattr.user.empty": b""}) == {
        b"user.a=b": value,
        b"user.empty": b"",
    }


def test_attributes_of_libarchive_are_decoded_unless_star_has_them() -> None:
    assert pax.xattrs(
        {
            b"LIBARCHIVE.xattr.user.caf%C3%A9": b"AP8",  # without padding, as libarchive writes it
            b"LIBARCHIVE.xattr.user.padded": b"AP8=",
            b"LIBARCHIVE.xattr.user.both": b"AP8",
            b"SCHILY.xattr.user.both": b"raw",
            b"LIBARCHIVE.xattr.user.bad": b"!",
        }
    ) == {b"user.caf\xc3\xa9": b"\0\xff", b"user.padded": b"\0\xff", b"user.both": b"raw"}


def test_attributes_that_linux_could_not_have_are_left_out() -> None:
    records = {
        b"SCHILY.xattr.": b"",
        b"SCHILY.xattr." + b"n" * 256: b"",
        b"LIBARCHIVE.xattr.user.%00": b"AP8",
        b"path": b"a",
    }
    assert pax.xattrs(records) is None
