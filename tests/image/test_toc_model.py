"""Tables of random layers against a model of the specification, and against tarfile."""

from __future__ import annotations

import io
import os
import random
import stat
import tarfile
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rossfs.image import record
from rossfs.image.tarscan import HARDLINK, TarEntry, TarScanner
from rossfs.image.toc import Toc
from rossfs.image.tocbuilder import TocBuilder
from tests.image.layermodel import Layer, Thing
from tests.image.tocs import builder, opened, read_all, toc_of, written

ordinary = settings(
    deadline=None, database=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow]
)

NAMES = [b"a", b"b", b"c", b"a", b"b", b".wh.a", b".wh.b", b".wh..wh..opq", b".wh.", b".wh..wh.x"]
TEXTS = [
    b"a", b"b", b"c", b"/", b"/a", b"..", b"../b", b"a/b", b"./a//c", b"../../a/..", b"", b".",
    b"/b/a/c", b"c/../a", b"a/.wh.b/..",
]  # fmt: skip
KINDS = [
    stat.S_IFREG, stat.S_IFREG, stat.S_IFDIR, stat.S_IFDIR, stat.S_IFLNK, HARDLINK, HARDLINK,
    stat.S_IFCHR, stat.S_IFIFO,
]  # fmt: skip


def drawn(kind: int, path: list[bytes], text: bytes, target: list[bytes], rdev: int) -> TarEntry:
    linkname = {stat.S_IFLNK: text, HARDLINK: b"/".join(target)}.get(kind, b"")
    return TarEntry(b"/".join(path), kind, linkname=linkname, rdev=rdev)


components = st.sampled_from(NAMES)
drawn_entries = st.builds(
    drawn,
    st.sampled_from(KINDS),
    st.lists(components, min_size=0, max_size=3),
    st.sampled_from(TEXTS),
    st.lists(components, min_size=0, max_size=3),
    st.integers(0, 1),
)


def numbered(entries: list[TarEntry]) -> list[TarEntry]:
    """Each entry may be told from all others by its attributes."""
    for number, entry in enumerate(entries, 1):
        entry.uid, entry.offset, entry.size = number, 512 * number, number
        entry.mtime_ns = -number
        if number % 5 == 0:
            entry.xattrs = {b"user.n": b"%d" % number}
        if number % 7 == 0 and entry.kind == stat.S_IFREG:
            entry.sparse = ((0, number),)
    return entries


def shown(toc: Toc) -> dict[bytes, dict[str, Any]]:
    """What a table says, by path; inodes by the first of their names."""
    found = {}
    for index in range(toc.count):
        row = toc.record(index)
        kind = stat.S_IFMT(row.mode)
        alone = toc.alone(index)
        regular = kind == stat.S_IFREG and not alone.flags & record.LOWER_LINK
        path = toc.path(index)
        found[path] = {
            "kind": kind,
            "owner": (row.uid, row.mtime_ns),
            "inode": toc.path(row.inode),
            "nlink": row.nlink,
            "content": (row.size, alone.data) if regular else None,
            "text": toc.symlink_text(index),
            "rdev": toc.rdev(index),
            "target": toc.link_target(index),
            "xattrs": dict(toc.xattrs(index)),
            "sparse": list(toc.sparse(index) or ()),
            "flags": row.flags,
        }
        if index:
            assert toc.find(toc.parent(index), toc.name(index)) == index
            assert index in toc.children(toc.parent(index))
    return found


def is_whiteout(path: bytes) -> bool:
    return path.rpartition(b"/")[2].startswith(b".wh.")


def flags_of(layer: Layer, path: bytes, thing: Thing) -> int:
    entry = thing.entry
    inside = (each for each in layer.things if each and each.rpartition(b"/")[0] == path)
    flags = 0
    if is_whiteout(path):
        return record.WHITEOUT
    if thing.kind == HARDLINK:
        copied = record.XATTRS | record.SPARSE
        later = thing.later
        return record.LOWER_LINK | (flags_of(layer, path, later) & copied if later else 0)
    if thing.is_directory:
        flags |= record.IMPLIED if entry is None else 0
        flags |= record.OPAQUE if thing.opaque else 0
        flags |= record.HAS_WHITEOUTS if any(map(is_whiteout, inside)) else 0
    if entry is not None:
        flags |= record.XATTRS if entry.xattrs else 0
        flags |= record.SPARSE if entry.sparse is not None else 0
    return flags


def expected(layer: Layer) -> dict[bytes, dict[str, Any]]:
    """What a table should say of *layer*."""
    nothing = TarEntry(b"", stat.S_IFDIR)
    found = {}
    names = Counter(thing.later or thing for thing in layer.things.values())
    for path, link in layer.things.items():
        thing = link.later or link
        entry = thing.entry or nothing
        flags = flags_of(layer, path, link)
        plain = not flags & record.WHITEOUT
        regular = thing.kind == stat.S_IFREG
        found[path] = {
            "kind": stat.S_IFREG if thing.kind == HARDLINK else thing.kind,
            "owner": (entry.uid, entry.mtime_ns),
            # The first in the order of the table: by depth, then by the names on the way.
            "inode": min(thing.paths, key=lambda each: (each.count(b"/"), each.split(b"/"))),
            "nlink": names[thing],
            "content": None if not regular else (entry.size, entry.offset) if plain else (0, 0),
            "text": entry.linkname if thing.kind == stat.S_IFLNK else b"",
            "rdev": entry.rdev if thing.kind == stat.S_IFCHR else 0,
            "target": link.target,
            "xattrs": entry.xattrs if flags & record.XATTRS else {},
            "sparse": list(entry.sparse or ()) if flags & record.SPARSE else [],
            "flags": flags,
        }
    return found


def compare(entries: list[TarEntry]) -> None:
    layer = Layer()
    for entry in numbered(entries):
        layer.add(entry)
    layer.finish()
    with toc_of(*entries) as toc:
        assert shown(toc) == expected(layer)
        assert [path for path, _ in toc.refusals] == layer.refused[:100]
        assert toc.refused == len(layer.refused)
        implied = {path for path, thing in layer.things.items() if thing.entry is None}
        assert {toc.path(index) for index in toc.implied} == implied


@ordinary
@given(st.lists(drawn_entries, max_size=14))
def test_any_sequence_of_entries_makes_what_the_specification_says(entries: list[TarEntry]) -> None:
    compare(entries)


def random_entries(chance: random.Random) -> list[TarEntry]:
    def path() -> list[bytes]:
        return [chance.choice(NAMES) for _ in range(chance.choice((0, 1, 1, 2, 2, 2, 3, 3)))]

    return [
        drawn(chance.choice(KINDS), path(), chance.choice(TEXTS), path(), chance.randrange(2))
        for _ in range(chance.randrange(40))
    ]


def fuzz(seconds: float, seed: int) -> int:
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end:
        entries = random_entries(chance)
        try:
            compare(entries)
        except Exception as error:
            error.add_note(f"seed {seed}, layer {done}: {entries}")
            raise
        done += 1
    return done


def test_long_random_layers_are_what_the_specification_says() -> None:
    assert fuzz(1.0, 1) > 10


@pytest.mark.long
@pytest.mark.timeout(900)
def test_random_layers_for_ten_minutes_are_what_the_specification_says() -> None:
    assert fuzz(600.0, random.SystemRandom().getrandbits(64)) > 10_000


# --- any bytes in names and texts ---

names = st.binary(min_size=1, max_size=12).filter(
    lambda name: not set(name) & {0, 0x2F} and name not in (b".", b"..")
)
texts = st.binary(max_size=20) | st.sampled_from(TEXTS)
wild_entries = st.builds(
    TarEntry,
    st.lists(names, max_size=4).map(b"/".join),
    st.sampled_from([*KINDS, stat.S_IFBLK]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 1),
    gid=st.integers(0, 2**32 - 1),
    size=st.integers(0, 2**63 - 1),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    rdev=st.integers(0, 2**64 - 1),
    linkname=texts,
    offset=st.integers(0, 2**63 - 1),
    xattrs=st.none() | st.dictionaries(st.binary(max_size=9), st.binary(max_size=9), max_size=3),
)


@ordinary
@given(st.lists(wild_entries, max_size=10))
def test_any_values_make_a_table_that_is_sound(entries: list[TarEntry]) -> None:
    with opened(written(builder(*entries))) as toc:
        assert read_all(toc) == 0
        assert len({toc.path(index) for index in range(toc.count)}) == toc.count


@ordinary
@given(
    st.dictionaries(
        names.filter(lambda name: not name.startswith(b".wh.")),
        st.builds(
            TarEntry,
            st.just(b""),
            st.sampled_from([stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFBLK]),
            mode=st.integers(0, 0o7777),
            uid=st.integers(0, 2**32 - 1),
            gid=st.integers(0, 2**32 - 1),
            size=st.integers(0, 2**63 - 1),
            mtime_ns=st.integers(-(2**63), 2**63 - 1),
            rdev=st.integers(1, 2**64 - 1),
            linkname=st.binary(max_size=300),
            offset=st.integers(0, 2**63 - 1),
        ),
        max_size=20,
    )
)
def test_what_was_written_is_read_record_by_record(entries: dict[bytes, TarEntry]) -> None:
    for name, entry in entries.items():
        entry.path = name
    with toc_of(*entries.values()) as toc:
        assert [toc.name(index) for index in toc.children(0)] == sorted(entries)
        for index, name in enumerate(sorted(entries), 1):
            entry, row = entries[name], toc.record(index)
            symlink = entry.kind == stat.S_IFLNK
            sizes = {stat.S_IFREG: entry.size, stat.S_IFLNK: len(entry.linkname)}
            assert row.mode == entry.kind | (0o777 if symlink else entry.mode)
            assert (row.uid, row.gid, row.mtime_ns) == (entry.uid, entry.gid, entry.mtime_ns)
            assert row.size == sizes.get(entry.kind, 0)
            assert toc.symlink_text(index) == (entry.linkname if symlink else b"")
            assert toc.rdev(index) == (entry.rdev if entry.kind == stat.S_IFBLK else 0)
            if entry.kind == stat.S_IFREG:
                assert row.data == entry.offset


# --- the way from a tar ---


def test_a_tar_that_tarfile_wrote_is_what_tarfile_lists(tmp_path: Any) -> None:
    source = tmp_path / "tree"
    (source / "d" / "e").mkdir(parents=True)
    (source / "d" / "f").write_bytes(b"x" * 1000)
    (source / "d" / "e" / "long").with_name("n" * 200).write_bytes(b"y")
    (source / "s").symlink_to("d/f")
    os.link(source / "d" / "f", source / "h")
    os.mkfifo(source / "pipe")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(source, arcname=".")
    made = TocBuilder()
    scanner = TarScanner(made.add, made.refuse)
    scanner.feed(file.getvalue())
    scanner.finish()
    with opened(written(made)) as toc, tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
        members = {os.path.normpath(member.name): member for member in tar}
        found = {os.fsdecode(toc.path(index)) or ".": index for index in range(toc.count)}
        assert set(found) == set(members)
        for path, index in found.items():
            row, member = toc.record(index), members[path]
            assert stat.S_IMODE(row.mode) == (0o777 if member.issym() else member.mode)
            assert row.uid == member.uid
            assert row.mtime_ns == pytest.approx(member.mtime * 1e9, abs=1e9)
            if member.isreg():
                start = row.data
                assert file.getvalue()[start : start + row.size] == (source / path).read_bytes()
        assert toc.record(found["h"]).inode == toc.record(found["d/f"]).inode
        assert toc.record(found["h"]).nlink == 2
