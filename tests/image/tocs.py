"""Tables of layers for tests: entries by hand, a table of them in memory, all that a table says."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from typing import Any

from rossfs.errors import InvalidTable
from rossfs.image.record import LOWER_LINK
from rossfs.image.tarscan import HARDLINK, Refusal, TarEntry
from rossfs.image.toc import Toc
from rossfs.image.tocbuilder import TocBuilder
from rossfs.oci.digest import Digest

DIGEST = Digest.of(b"compressed")
DIFF_ID = Digest.of(b"uncompressed", "sha512")
LENGTH = 10240


def entry(path: bytes, kind: int = stat.S_IFREG, **fields: Any) -> TarEntry:
    """An entry as a scanner makes it: *path* and links are clean already."""
    return TarEntry(path, kind, **fields)


def directory(path: bytes, **fields: Any) -> TarEntry:
    return entry(path, stat.S_IFDIR, **{"mode": 0o755, **fields})


def symlink(path: bytes, text: bytes, **fields: Any) -> TarEntry:
    return entry(path, stat.S_IFLNK, linkname=text, **fields)


def link(path: bytes, target: bytes, **fields: Any) -> TarEntry:
    return entry(path, HARDLINK, linkname=target, **fields)


def builder(*entries: TarEntry | Refusal) -> TocBuilder:
    made = TocBuilder()
    for each in entries:
        if isinstance(each, Refusal):
            made.refuse(each)
        else:
            made.add(each)
    return made


def written(made: TocBuilder) -> bytes:
    """The bytes of the table."""
    file = io.BytesIO()
    made.write(file, digest=DIGEST, diff_id=DIFF_ID, length=LENGTH)
    return file.getvalue()


@contextlib.contextmanager
def opened(data: bytes | bytearray, check: bool = True) -> Iterator[Toc]:
    """A table of which only this process knows."""
    fd = os.memfd_create("toc")
    try:
        os.write(fd, data)
        toc = Toc.from_fd(fd, check)
    finally:
        os.close(fd)
    with toc:
        yield toc


@contextlib.contextmanager
def toc_of(*entries: TarEntry | Refusal) -> Iterator[Toc]:
    with opened(written(builder(*entries))) as toc:
        yield toc


def at(toc: Toc, path: bytes) -> int:
    """The index of *path*, no symlink followed; -1 if it is not there."""
    index = 0
    for name in path.split(b"/") if path else ():
        index = toc.find(index, name)
        if index < 0:
            return -1
    return index


def tree(toc: Toc) -> dict[bytes, str]:
    """All paths but the root's, each with its kind, content and hard links, and marks of what
    few have: `dir`, `file 512`, `symlink x/y`, `lower x/y`, `lower x/y, else file 512`,
    `char 1,3`, `file 512 = 4` ..."""
    kinds = {stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFIFO: "fifo"}
    found = {}
    for index in range(1, toc.count):
        record = toc.alone(index)
        kind = stat.S_IFMT(record.mode)
        link = f"lower {os.fsdecode(toc.link_target(index))}"
        if record.flags & LOWER_LINK:
            found[toc.path(index)] = link
            continue
        if kind == stat.S_IFREG:
            text = f"file {record.data}"
        elif kind == stat.S_IFDIR:
            text = "dir"
        elif kind == stat.S_IFLNK:
            text = f"symlink {os.fsdecode(toc.symlink_text(index))}"
        else:
            rdev = toc.rdev(index)
            text = f"{kinds[kind]} {os.major(rdev)},{os.minor(rdev)}"
        is_link = toc.record(index).flags & LOWER_LINK
        found[toc.path(index)] = f"{link}, else {text}" if is_link else text
    return found


def reasons(toc: Toc) -> dict[bytes, str]:
    return dict(toc.refusals)


def read_all(toc: Toc) -> int:
    """Ask a table everything that can be asked; answers how often it said that it was altered."""
    complaints = 0
    calls = [
        toc.record, toc.alone, toc.name, toc.parent, toc.children, toc.symlink_text,
        toc.link_target, toc.rdev, toc.xattrs,
    ]  # fmt: skip
    for index in range(toc.count):
        for call in calls:
            try:
                call(index)
            except InvalidTable:
                complaints += 1
        try:
            toc.path(index)
            for child in toc.children(index):
                toc.find(index, toc.name(child))
            toc.find(index, b"nothing")
            pieces = toc.sparse(index)
            if pieces is not None:
                sum(length for _, length in pieces)
                pieces.first(1000)
        except InvalidTable:
            complaints += 1
    try:
        assert toc.refused >= 0
        assert len(toc.refusals) <= toc.count + 1000
    except InvalidTable:
        complaints += 1
    assert all(index >= 0 for index in toc.implied)
    return complaints
