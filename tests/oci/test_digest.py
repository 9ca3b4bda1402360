from __future__ import annotations

import hashlib

import pytest

from rossfs.errors import InvalidDigest
from rossfs.oci.digest import Digest, hasher_for, is_hex_name

HEX = hashlib.sha256(b"content").hexdigest()
LONG_HEX = hashlib.sha512(b"content").hexdigest()


@pytest.mark.parametrize("text", [f"sha256:{HEX}", f"sha512:{LONG_HEX}", f"blake3:{HEX}"])
def test_a_digest_prints_as_it_was_read(text: str) -> None:
    assert str(Digest.parse(text)) == text
    assert Digest.parse(text.encode()) == Digest.parse(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected algorithm:hex"),
        (HEX, "expected algorithm:hex"),
        (f"md5:{HEX[:32]}", "unknown digest algorithm"),
        (f"SHA256:{HEX}", "unknown digest algorithm"),
        (f":{HEX}", "unknown digest algorithm"),
        ("sha256:", "has 64 digits, not 0"),
        (f"sha256:{HEX[:-1]}", "has 64 digits, not 63"),
        (f"sha512:{HEX}", "has 128 digits, not 64"),
        (f"sha256:{HEX}\n", "has 64 digits, not 65"),
        (f"sha256:{HEX.upper()}", "written in the digits"),
        (f"sha256:{HEX[:-1]}g", "written in the digits"),
        (f"sha256:{'٣' * 64}", "written in the digits"),
        (f"sha256:../../{HEX[6:]}", "written in the digits"),
    ],
)
def test_what_is_no_digest_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidDigest, match=reason):
        Digest.parse(text)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidDigest):
        Digest.parse(b"sha256:\xff" + HEX[1:].encode())


def test_a_refusal_is_one_short_line() -> None:
    with pytest.raises(InvalidDigest) as caught:
        Digest.parse("sha256:\n" + "x" * 100_000)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_hashing_gives_what_hashlib_gives(algorithm: str) -> None:
    expected = hashlib.new(algorithm, b"content").hexdigest()
    assert Digest.of(b"content", algorithm) == Digest(algorithm, expected)
    assert Digest.of(memoryview(b"content"), algorithm).hex == expected
    hasher = hasher_for(algorithm)
    hasher.update(b"con")
    hasher.update(bytearray(b"tent"))
    assert hasher.hexdigest() == expected


def test_blake3_is_understood_but_not_hashed() -> None:
    digest = Digest.parse(f"blake3:{HEX}")
    assert not digest.is_stored
    with pytest.raises(InvalidDigest, match="use sha256 or sha512"):
        hasher_for(digest.algorithm)


def test_an_unknown_algorithm_is_not_hashed() -> None:
    with pytest.raises(InvalidDigest, match='unknown digest algorithm "md5"'):
        hasher_for("md5")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_raw_hash_makes_the_digest_again(algorithm: str) -> None:
    digest = Digest.of(b"content", algorithm)
    assert digest.is_stored
    assert digest.raw == hashlib.new(algorithm, b"content").digest()
    assert Digest.from_raw(algorithm, digest.raw) == digest


def test_a_raw_hash_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(InvalidDigest, match="has 32 bytes, not 31"):
        Digest.from_raw("sha256", bytes(31))
    with pytest.raises(InvalidDigest, match="unknown digest algorithm"):
        Digest.from_raw("crc", bytes(4))


def test_sha256_wants_64_digits() -> None:
    assert Digest.sha256(HEX) == Digest.of(b"content")
    with pytest.raises(InvalidDigest):
        Digest.sha256(HEX[1:])


def test_short_is_what_layers_are_called() -> None:
    assert Digest.of(b"content").short == HEX[:12]


@pytest.mark.parametrize(
    ("name", "algorithm", "answer"),
    [
        (HEX, "sha256", True),
        (HEX.encode(), "sha256", True),
        (LONG_HEX, "sha512", True),
        (LONG_HEX.encode(), "sha512", True),
        (HEX, "sha512", False),
        (f"{HEX}.meta", "sha256", False),
        (HEX.upper().encode(), "sha256", False),
        (HEX.encode() + b"\n", "sha256", False),
        (b"", "sha256", False),
    ],
)
def test_only_digits_of_the_right_number_name_a_file(
    name: str | bytes, algorithm: str, answer: bool
) -> None:
    assert is_hex_name(name, algorithm) is answer
