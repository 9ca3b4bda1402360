"""The table of a layer, as it is read."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path
from zlib import crc32

import pytest

from rossfs.image.record import RECORD, RECORD_SIZE
from rossfs.image.tarscan import Refusal
from rossfs.image.toc import Toc
from tests.image.tocs import (
    DIFF_ID,
    DIGEST,
    LENGTH,
    at,
    builder,
    directory,
    entry,
    opened,
    symlink,
    toc_of,
    tree,
    written,
)

SOME = [
    directory(b"etc", mode=0o700, uid=1, gid=2, mtime_ns=-5),
    entry(b"etc/passwd", size=100, offset=1024, mode=0o4755, uid=2**32 - 1, gid=3, mtime_ns=2**62),
    symlink(b"etc/link", b"../some\nwhere \xff"),
    entry(b"dev/null", stat.S_IFCHR, rdev=os.makedev(1, 3)),
    entry(b"dev/sda", stat.S_IFBLK, rdev=os.makedev(8, 2**19)),
    entry(b"run/pipe", stat.S_IFIFO),
]


def test_a_table_says_of_which_layer_it_is() -> None:
    with toc_of() as toc:
        assert (toc.digest, toc.diff_id, toc.length) == (DIGEST, DIFF_ID, LENGTH)


def test_a_layer_without_entries_has_an_implied_root() -> None:
    with toc_of() as toc:
        root = toc.record(0)
        assert toc.count == 1
        assert list(toc.implied) == [0]
        assert (root.mode, root.uid, root.gid, root.mtime_ns) == (stat.S_IFDIR | 0o755, 0, 0, 0)
        assert list(toc.children(0)) == []
        assert toc.find(0, b"x") == -1
        assert (toc.name(0), toc.path(0), toc.parent(0)) == (b"", b"", 0)


def test_a_record_holds_what_the_entry_had() -> None:
    with toc_of(*SOME) as toc:
        index = at(toc, b"etc/passwd")
        record = toc.record(index)
        assert record.mode == stat.S_IFREG | 0o4755
        assert (record.uid, record.gid, record.mtime_ns) == (2**32 - 1, 3, 2**62)
        assert (record.size, record.data, record.nlink) == (100, 1024, 1)
        assert (record.inode, record.rare, record.flags, record.extra) == (index, 0, 0, 0)
        assert record.parent == at(toc, b"etc")
        etc = toc.record(at(toc, b"etc"))
        assert (etc.mode, etc.uid, etc.gid, etc.mtime_ns) == (stat.S_IFDIR | 0o700, 1, 2, -5)
        assert (etc.nlink, etc.extra, etc.size) == (1, 2, 0)


def test_kinds_that_have_no_content_are_what_they_are() -> None:
    with toc_of(*SOME) as toc:
        assert tree(toc) == {
            b"dev": "dir",
            b"etc": "dir",
            b"run": "dir",
            b"dev/null": "char 1,3",
            b"dev/sda": "block 8,524288",
            b"etc/link": "symlink ../some\nwhere \udcff",
            b"etc/passwd": "file 1024",
            b"run/pipe": "fifo 0,0",
        }
        assert toc.rdev(at(toc, b"etc/passwd")) == 0
        assert toc.symlink_text(at(toc, b"etc")) == b""


def test_a_symlink_has_the_size_of_its_text_and_the_mode_that_linux_gives_it() -> None:
    text = b"x" * 5000
    with toc_of(symlink(b"long", text, mode=0o644, uid=7)) as toc:
        record = toc.record(1)
        assert (record.mode, record.size, record.extra) == (stat.S_IFLNK | 0o777, 5000, 5000)
        assert toc.symlink_text(1) == text
        assert record.uid == 7


def test_records_are_breadth_first_and_children_together_in_the_order_of_their_names() -> None:
    names = [b"b", b"a", b"\xff", b"B", b"a-b", b"a.b", b"aa", b"\n"]
    with toc_of(*[entry(name + b"/" + name) for name in names]) as toc:
        children = toc.children(0)
        assert children == range(1, 9)
        assert [toc.name(index) for index in children] == sorted(names)
        paths = [toc.path(index) for index in range(toc.count)]
        assert paths == [b"", *sorted(names), *[name + b"/" + name for name in sorted(names)]]
        assert all(toc.parent(index) < index for index in range(1, toc.count))


def test_a_child_is_found_by_its_name_only() -> None:
    names = [b"name-%d" % number for number in range(3000)]
    with toc_of(*[entry(b"d/" + name) for name in names]) as toc:
        place = at(toc, b"d")
        for name in names:
            assert toc.name(toc.find(place, name)) == name
            assert toc.find(place, name + b"x") == -1
            assert toc.find(0, name) == -1
        assert toc.find(place, b"") == -1
        assert toc.find(place, b"d") == -1


def test_nothing_is_found_below_what_is_no_directory() -> None:
    with toc_of(*SOME) as toc:
        for path in (b"etc/passwd", b"etc/link", b"dev/null"):
            index = at(toc, path)
            assert list(toc.children(index)) == []
            assert toc.find(index, b"passwd") == -1


def test_names_of_one_checksum_are_all_found() -> None:
    by_sum: dict[int, list[bytes]] = {}
    number = 0
    pairs: list[list[bytes]] = []
    while len(pairs) < 3:
        name = b"%016x" % (number * 0x9E3779B97F4A7C15 % 2**64)
        same = by_sum.setdefault(crc32(name), [])
        same.append(name)
        if len(same) == 2:
            pairs.append(same)
        number += 1
    # The first of each pair also alone: its namesake in checksum is not there.
    here = [*pairs[0], *pairs[1], pairs[2][0], *[b"x%d" % number for number in range(50)]]
    with toc_of(*map(entry, here)) as toc:
        for name in here:
            assert toc.name(toc.find(0, name)) == name
        assert toc.find(0, pairs[2][1]) == -1


def test_names_of_255_bytes_and_of_any_byte_are_kept() -> None:
    names = [b"n" * 255, bytes(range(1, 47)), bytes(range(48, 256)), b"\xff\xfe"]
    with toc_of(*map(entry, names)) as toc:
        assert [toc.name(index) for index in toc.children(0)] == sorted(names)
        assert all(toc.find(0, name) > 0 for name in names)


def test_a_path_of_ten_thousand_directories_is_walked() -> None:
    path = b"/".join([b"d"] * 10_000) + b"/file"
    with toc_of(entry(path, offset=512)) as toc:
        assert toc.count == 10_002
        index = at(toc, path)
        assert toc.record(index).data == 512
        assert toc.path(index) == path
        assert len(toc.implied) == 10_001


def test_fields_may_be_unpacked_from_the_map() -> None:
    with toc_of(*SOME) as toc:
        index = at(toc, b"etc/passwd")
        assert RECORD.size == RECORD_SIZE == 64
        start = toc.records_offset + 64 * index
        assert RECORD.unpack_from(toc.buffer, start) == toc.record(index)
        record = toc.record(index)
        name = toc.heap_offset + record.name_offset
        assert toc.buffer[name : name + record.name_length] == b"passwd"


def test_refusals_are_told_up_to_a_hundred_and_counted_beyond() -> None:
    refusals = [Refusal(b"p%d\xff" % number, f"reason {number}") for number in range(150)]
    with toc_of(*refusals) as toc:
        assert toc.refused == 150
        assert toc.refusals == [tuple(refusal) for refusal in refusals[:100]]


def test_the_implied_directories_are_those_that_no_entry_names() -> None:
    with toc_of(entry(b"a/b/c/f"), directory(b"a/b"), directory(b"")) as toc:
        assert [toc.path(index) for index in toc.implied] == [b"a", b"a/b/c"]


def test_a_table_is_opened_by_path_and_read_after_its_name_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "x.toc"
    with path.open("wb") as file:
        builder(*SOME).write(file, digest=DIGEST, diff_id=DIFF_ID, length=LENGTH)
    with Toc.open(str(path)) as toc:
        path.unlink()
        assert toc.find(0, b"etc") > 0
    with pytest.raises(FileNotFoundError) as raised:
        Toc.open(str(path))
    assert raised.value.errno == errno.ENOENT


def test_the_same_entries_make_the_same_bytes_however_often_they_are_written() -> None:
    made = builder(*SOME)
    first = written(made)
    assert written(made) == first
    assert written(builder(*SOME)) == first


def test_a_table_is_closed_once_or_twice_and_pieces_outlive_it() -> None:
    data = written(builder(entry(b"s", size=10, stored=2, sparse=((3, 2),))))
    with opened(data) as toc:
        pieces = toc.sparse(1)
    toc.close()
    assert pieces is not None
    assert list(pieces) == [(3, 2)]
    with pytest.raises(ValueError, match="released"):
        toc.sparse(1)


def test_several_threads_read_one_table() -> None:
    names = [b"n%d" % number for number in range(500)]
    wrong: list[bytes] = []
    with toc_of(*[entry(b"d/" + name) for name in names]) as toc:

        def read() -> None:
            wrong.extend(n for n in names if toc.path(toc.find(1, n)) != b"d/" + n)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
