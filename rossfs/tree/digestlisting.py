"""Listings of directories whose names are digests, of any size.

A snapshot keeps the hash itself, 32 bytes a name, and makes each entry when it is asked for it.
"""

from __future__ import annotations

import os
from binascii import hexlify
from collections.abc import Callable, Sequence
from typing import NamedTuple, overload

from rossfs.oci.digest import HEX_LENGTHS
from rossfs.store.descriptors import again
from rossfs.store.paths import META
from rossfs.tree.node import Entry

_CHUNK = 1024
"""Names that are parsed together, five times as fast as one by one."""


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
        _scan(path, digits, hidden.update)
    more: set[bytes] = set()
    for path in small:
        bare |= _scan(path, digits, more.update)
    raw = bytearray()
    seen = hidden | more

    def add(hashes: Sequence[bytes]) -> None:
        raw.extend(b"".join(hashes if seen.isdisjoint(hashes) else set(hashes) - seen))

    bare |= _scan(large, digits, add)
    raw.extend(b"".join(more - hidden))
    return Names(bytes(raw), frozenset(bare - hidden))


def _scan(path: str, digits: int, add: Callable[[Sequence[bytes]], object]) -> set[bytes]:
    """Give *add* the hashes of the content in *path*, some at a time; return those without
    .meta."""
    contents = metas = 0
    with_meta = digits + len(META)
    try:
        entries = again(lambda: os.scandir(path))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    names: list[str] = []
    with entries:
        for entry in entries:
            name = entry.name
            if len(name) == digits:
                names.append(name)
                if len(names) == _CHUNK:
                    contents += _add(names, add)
                    names.clear()
            elif len(name) == with_meta and name.endswith(META):
                metas += 1
    contents += _add(names, add)
    # Holding the names of all .meta files to compare would cost more memory than the listing.
    return set() if contents == metas else _without_meta(path, digits)


def _add(names: Sequence[str], add: Callable[[Sequence[bytes]], object]) -> int:
    """Give *add* the hashes that *names*, all equally long, stand for; return how many."""
    hashes = _parse(names)
    add(hashes)
    return len(hashes)


def _parse(names: Sequence[str]) -> list[bytes]:
    joined = "".join(names)
    try:
        raw = bytes.fromhex(joined)
    except ValueError:
        raw = b""
    # fromhex takes upper case and spaces, which name nothing.
    if raw.hex() == joined:
        width = len(raw) // len(names) if names else 1
        return [raw[start : start + width] for start in range(0, len(raw), width)]
    if len(names) <= 1:
        return []
    return [found for name in names for found in _parse([name])]


def _without_meta(path: str, digits: int) -> set[bytes]:
    found: set[bytes] = set()
    with again(lambda: os.scandir(path)) as entries:
        for entry in entries:
            if len(entry.name) == digits and not os.path.lexists(entry.path + META):
                found.update(_parse([entry.name]))
    return found


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
