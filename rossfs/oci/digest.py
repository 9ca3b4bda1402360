"""Digests: which content, by the hash of its bytes.

Written `algorithm:hex` (image-spec, descriptor.md, "Digests").  sha256 and sha512 are stored and
hashed here; blake3 is understood where a document names it, but nothing is filed under it.  A
Digest always holds a known algorithm and lower-case hexadecimal of the right length, so that its
parts may become file names without a further look.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple, Protocol

from rossfs.errors import InvalidDigest
from rossfs.oci.quotation import quote

HEX_LENGTHS = {"sha256": 64, "sha512": 128, "blake3": 64}
STORED_ALGORITHMS = ("sha256", "sha512")

_DIGEST = re.compile(
    "|".join(rf"{name}:[0-9a-f]{{{length}}}" for name, length in HEX_LENGTHS.items())
)
_HEX_TEXT = {name: re.compile(rf"[0-9a-f]{{{length}}}") for name, length in HEX_LENGTHS.items()}
_HEX_BYTES = {name: re.compile(rb"[0-9a-f]{%d}" % length) for name, length in HEX_LENGTHS.items()}


class Hasher(Protocol):
    """What a hash object of hashlib can do, as far as it is used here."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Hash more bytes; from 2 KiB on, other threads run meanwhile."""

    def digest(self) -> bytes:
        """Return the hash of the bytes so far."""

    def hexdigest(self) -> str:
        """Return the hash of the bytes so far in lower-case hexadecimal."""

    def copy(self) -> Hasher:
        """Return an independent hasher in the same state."""


class Digest(NamedTuple):
    """A parsed digest.  Holding one means the text was valid; nobody checks again."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str | bytes) -> Digest:
        """Read `algorithm:hex`; raises InvalidDigest with what is wrong about *text*."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        if _DIGEST.fullmatch(text) is None:
            raise InvalidDigest(_complaint(text))
        algorithm, _, encoded = text.partition(":")
        return cls(algorithm, encoded)

    @classmethod
    def sha256(cls, encoded: str) -> Digest:
        """Return the sha256 digest of 64 lower-case hexadecimal digits; raises InvalidDigest."""
        if _HEX_TEXT["sha256"].fullmatch(encoded) is None:
            raise InvalidDigest(_complaint(f"sha256:{encoded}"))
        return cls("sha256", encoded)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Digest:
        """Hash *data*; raises InvalidDigest for an algorithm that cannot be hashed here."""
        hasher = hasher_for(algorithm)
        hasher.update(data)
        return cls(algorithm, hasher.hexdigest())

    @classmethod
    def from_raw(cls, algorithm: str, raw: bytes) -> Digest:
        """Return the digest whose hash is *raw*, 32 or 64 bytes; raises InvalidDigest."""
        length = HEX_LENGTHS.get(algorithm)
        if length is None:
            raise InvalidDigest(f"unknown digest algorithm {quote(algorithm)}")
        if 2 * len(raw) != length:
            raise InvalidDigest(f"a {algorithm} digest has {length // 2} bytes, not {len(raw)}")
        return cls(algorithm, raw.hex())

    @property
    def raw(self) -> bytes:
        """The hash itself: 32 bytes for sha256 and blake3, 64 for sha512."""
        return bytes.fromhex(self.hex)

    @property
    def short(self) -> str:
        """The first 12 hexadecimal digits, as in the names of layers."""
        return self.hex[:12]

    @property
    def is_stored(self) -> bool:
        """Whether content can be hashed and filed under this digest."""
        return self.algorithm in STORED_ALGORITHMS

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def hasher_for(algorithm: str) -> Hasher:
    """Return a fresh hasher; raises InvalidDigest for what is not in STORED_ALGORITHMS."""
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm == "sha512":
        return hashlib.sha512()
    if algorithm in HEX_LENGTHS:
        raise InvalidDigest(f"content cannot be filed under {algorithm}: use sha256 or sha512")
    raise InvalidDigest(f"unknown digest algorithm {quote(algorithm)}")


def is_hex_name(name: str | bytes, algorithm: str = "sha256") -> bool:
    """Whether *name* is what a file under `blobs/<algorithm>/` is called."""
    if isinstance(name, bytes):
        return _HEX_BYTES[algorithm].fullmatch(name) is not None
    return _HEX_TEXT[algorithm].fullmatch(name) is not None


def _complaint(text: str) -> str:
    """Say why *text* is no digest."""
    algorithm, colon, encoded = text.partition(":")
    if not colon:
        return f"no digest: {quote(text)} (expected algorithm:hex)"
    length = HEX_LENGTHS.get(algorithm)
    if length is None:
        return f"unknown digest algorithm in {quote(text)}"
    if len(encoded) != length:
        return f"{quote(text)} is no digest: {algorithm} has {length} digits, not {len(encoded)}"
    return f"{quote(text, 160)} is no digest: {algorithm} is written in the digits 0-9 and a-f"
