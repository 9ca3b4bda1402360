"""What TarScanner tells of archives, and the content that it tells where to find."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from rossfs.image.tarscan import HARDLINK, Refusal, TarEntry, TarScanner

KINDS = (
    HARDLINK, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO,
)  # fmt: skip


class Scan(NamedTuple):
    """All that was told of one archive."""

    entries: list[TarEntry]
    refusals: list[Refusal]
    length: int

    @property
    def entry(self) -> TarEntry:
        """The only entry."""
        (entry,) = self.entries
        assert self.refusals == []
        return entry

    @property
    def refusal(self) -> Refusal:
        """The only refusal."""
        (refusal,) = self.refusals
        assert self.entries == []
        return refusal

    @property
    def paths(self) -> list[bytes]:
        return [entry.path for entry in self.entries]


def scan(data: bytes, cuts: Iterable[int] = ()) -> Scan:
    """Feed *data*, cut at the offsets *cuts*; InvalidLayer as the scanner raises it."""
    entries: list[TarEntry] = []
    refusals: list[Refusal] = []
    scanner = TarScanner(entries.append, refusals.append)
    view = memoryview(data)
    for start, end in pairwise([0, *sorted(cuts), len(data)]):
        scanner.feed(view[start:end])
    return Scan(entries, refusals, scanner.finish())


def fields(entry: TarEntry) -> dict[str, object]:
    """All that an entry says, to be compared."""
    return {name: getattr(entry, name) for name in TarEntry.__slots__}


def content(tar: bytes, entry: TarEntry) -> bytes:
    """The bytes of a file, its holes as zeros."""
    stored = tar[entry.offset : entry.offset + entry.stored]
    assert len(stored) == entry.stored
    if entry.sparse is None:
        return stored
    file = bytearray(entry.size)
    for offset, length in entry.sparse:
        file[offset : offset + length], stored = stored[:length], stored[length:]
    assert not stored
    return bytes(file)


def check(entry: TarEntry, length: int) -> None:
    """What holds for every entry, whatever the archive was; *length* is that of the archive."""
    assert entry.kind in KINDS
    assert 0 <= entry.mode <= 0o7777
    assert 0 <= entry.uid < 1 << 32
    assert 0 <= entry.gid < 1 << 32
    assert 0 <= entry.size < 1 << 63
    assert -(1 << 63) <= entry.mtime_ns < 1 << 63
    assert entry.offset >= 0
    _check_path(entry.path)
    if entry.kind == HARDLINK:
        _check_path(entry.linkname)
    elif entry.kind == stat.S_IFLNK:
        assert 0 < len(entry.linkname) <= 1 << 16
        assert b"\0" not in entry.linkname
    else:
        assert entry.linkname == b""
    if entry.kind not in (stat.S_IFCHR, stat.S_IFBLK):
        assert entry.rdev == 0
    if entry.kind == stat.S_IFREG:
        assert entry.offset + entry.stored <= length
    else:
        assert (entry.size, entry.stored, entry.sparse) == (0, 0, None)
    _check_pieces(entry)
    if entry.xattrs is not None:
        assert entry.xattrs
        assert all(0 < len(name) <= 255 and b"\0" not in name for name in entry.xattrs)


def _check_path(path: bytes) -> None:
    assert len(path) <= 1 << 16
    assert b"\0" not in path
    for name in path.split(b"/") if path else ():
        assert 0 < len(name) <= (259 if name.startswith(b".wh.") else 255)
        assert name not in (b".", b"..")


def _check_pieces(entry: TarEntry) -> None:
    if entry.sparse is None:
        assert entry.stored == entry.size
        return
    end = 0
    for offset, size in entry.sparse:
        assert size > 0
        assert offset >= end
        end = offset + size
    assert end <= entry.size
    assert sum(size for _, size in entry.sparse) == entry.stored
