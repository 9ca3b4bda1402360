"""Listings of directories whose names are digests, of any size.

A snapshot keeps the hash itself, 32 bytes a name, and makes each entry when it is asked for it.
"""

from __future__ import annotations

import os
from binascii import hexlify
from collections.abc import Callable, Sequence
from typing import NamedTuple, overload

from rossfs.oci.digest import HEX_LENGTHS
from rossfs.store.paths import META
from rossfs.tree.node import Entry


class Names(NamedTuple):
    """The digests that name files in some directories of the disk."""

    raw: bytes
    """One hash after the other, in no order, each once."""
    bare: frozenset[bytes]
    """Those of *raw* that have no .meta beside them: nobody can tell yet whether they are to be
    shown."""


def scan(directories: Sequence[str], algorithm: str, without: Sequence[str] = ()) -> Names:
    """The digests that name files in *directories* but in none of *without*.

    Directories that do not exist are empty.  The first one is streamed and may be large; the names
    of the others are held in a set meanwhile.
    """
    digits = HEX_LENGTHS[algorithm]
    large, *small = directories
    bare: set[bytes] = set()
    hidden: set[bytes] = set()
    for path in without:
        _scan(path, digits, hidden.add)
    more: set[bytes] = set()
    for path in small:
        bare.update(_scan(path, digits, more.add))
    raw = bytearray()
    seen = hidden | more

    def add(name: bytes) -> None:
        if name not in seen:
            raw.extend(name)

    bare.update(_scan(large, digits, add if seen else raw.extend))
    for name in more - hidden:
        raw += name
    return Names(bytes(raw), frozenset(bare - hidden))


def _scan(path: str, digits: int, add: Callable[[bytes], object]) -> list[bytes]:
    """Give *add* the hash of each content in *path*; return those that have no .meta."""
    contents = metas = 0
    with_meta = digits + len(META)
    try:
        names = os.scandir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    with names:
        for entry in names:
            name = entry.name
            if len(name) == digits:
                raw = _parse(name)
                if raw is not None:
                    contents += 1
                    add(raw)
            elif len(name) == with_meta and name.endswith(META):
                metas += 1
    # Holding the names of all .meta files to compare would cost more memory than the listing.
    return [] if contents == metas else _without_meta(path, digits)


def _without_meta(path: str, digits: int) -> list[bytes]:
    found = []
    with os.scandir(path) as names:
        for entry in names:
            if len(entry.name) == digits and not os.path.lexists(entry.path + META):
                raw = _parse(entry.name)
                if raw is not None:
                    found.append(raw)
    return found


def _parse(name: str) -> bytes | None:
    try:
        raw = bytes.fromhex(name)
    except ValueError:
        return None
    # fromhex takes upper case and spaces, which name nothing.
    return raw if raw.hex() == name else None


class DigestListing(Sequence[Entry | None]):
    """A snapshot of digests as a listing; *make* gives the entry of one name."""

    __slots__ = ("_make", "_raw", "_width")

    def __init__(self, raw: bytes, algorithm: str, make: Callable[[bytes], Entry | None]) -> None:
        self._raw = raw
        self._width = HEX_LENGTHS[algorithm] // 2
        self._make = make

    def __len__(self) -> int:
        return len(self._raw) // self._width

    @overload
    def __getitem__(self, index: int) -> Entry | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry | None]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry | None] | None:
        try:
            start = index * self._width  # type: ignore[operator]
        except TypeError:
            assert isinstance(index, slice)
            return [self[position] for position in range(*index.indices(len(self)))]
        raw = self._raw[start : start + self._width]
        if not raw or start < 0:
            raise IndexError(index)
        return self._make(hexlify(raw))
