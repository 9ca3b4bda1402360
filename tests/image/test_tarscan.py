"""Entries of all types and formats, one at a time."""

from __future__ import annotations

import os
import stat

import pytest

from rossfs.errors import InvalidLayer
from rossfs.image.tarscan import HARDLINK, Refusal, TarEntry, TarScanner
from tests.image.scanning import content, fields, scan
from tests.layers import BLOCK, GNU, V7, Layer, block

LONG = b"d" * 90 + b"/" + b"n" * 120 + b"/file"


def test_a_file_is_told_with_all_that_its_header_says() -> None:
    tar = Layer().file(b"./a/b", b"some data", mode=0o104755, uid=1, gid=2, mtime=3).closed()
    assert fields(scan(tar).entry) == {
        "path": b"a/b",
        "kind": stat.S_IFREG,
        "mode": 0o4755,
        "uid": 1,
        "gid": 2,
        "size": 9,
        "mtime_ns": 3_000_000_000,
        "rdev": 0,
        "linkname": b"",
        "offset": BLOCK,
        "stored": 9,
        "sparse": None,
        "xattrs": None,
    }


def test_each_type_is_told_as_what_it_is() -> None:
    layer = Layer().directory("dir/").symlink("sym", "../any thing").link("hard", "./dir/../file")
    layer.device("char", b"3", 1, 3).device("block", b"4", 8, 0x12345).entry("fifo", b"6")
    layer.entry("old", b"\0", b"1").entry("contiguous", b"7", b"2").entry("olddir/", b"\0")
    entries = scan(layer.closed()).entries
    assert [(entry.path, entry.kind, entry.linkname, entry.rdev) for entry in entries] == [
        (b"dir", stat.S_IFDIR, b"", 0),
        (b"sym", stat.S_IFLNK, b"../any thing", 0),
        (b"hard", HARDLINK, b"file", 0),
        (b"char", stat.S_IFCHR, b"", os.makedev(1, 3)),
        (b"block", stat.S_IFBLK, b"", os.makedev(8, 0x12345)),
        (b"fifo", stat.S_IFIFO, b"", 0),
        (b"old", stat.S_IFREG, b"", 0),
        (b"contiguous", stat.S_IFREG, b"", 0),
        (b"olddir", stat.S_IFDIR, b"", 0),
    ]


def test_what_is_no_file_has_no_content_whatever_its_size_field_says() -> None:
    layer = Layer()
    for flag in (b"1", b"2", b"3", b"4", b"5", b"6"):
        layer.entry("e" + flag.decode(), flag, link="t", size=1000)
    entries = scan(layer.file("last").closed()).entries
    assert [entry.path for entry in entries][-1] == b"last"
    assert {(entry.size, entry.stored) for entry in entries} == {(0, 0)}


def test_a_link_to_a_file_keeps_the_attributes_of_its_own_header() -> None:
    entry = scan(Layer().link("a", "b", mode=0o600, uid=5, mtime=7).closed()).entry
    assert (entry.mode, entry.uid, entry.mtime_ns) == (0o600, 5, 7_000_000_000)


def test_v7_archives_are_read() -> None:
    layer = Layer().entry("a", b"\0", b"data", magic=V7).entry("d/", b"\0", magic=V7)
    layer.entry("l", b"1", link="a", magic=V7).entry("s", b"2", link="a", magic=V7)
    assert [(entry.path, entry.kind) for entry in scan(layer.closed()).entries] == [
        (b"a", stat.S_IFREG),
        (b"d", stat.S_IFDIR),
        (b"l", HARDLINK),
        (b"s", stat.S_IFLNK),
    ]


def test_a_name_of_100_bytes_and_a_prefix_of_155_need_no_nul() -> None:
    tar = block(b"n" * 100, b"0", prefix=b"p" * 155, link=b"l" * 100)
    assert scan(tar).entry.path == b"p" * 155 + b"/" + b"n" * 100


@pytest.mark.parametrize("long", ["gnu", "pax"])
def test_long_names_and_links_come_whole(long: str) -> None:
    layer = Layer().file(LONG, b"x", long=long).symlink("s", LONG, long=long)
    layer.link(LONG + b"2", LONG, long=long).file("short")
    assert [(entry.path, entry.linkname) for entry in scan(layer.closed()).entries] == [
        (LONG, b""),
        (b"s", LONG),
        (LONG + b"2", LONG),
        (b"short", b""),
    ]


def test_a_long_name_is_taken_before_a_record_and_the_last_header_before_the_first() -> None:
    long = block(b"././@LongLink", b"L", size=5, magic=GNU)
    layer = Layer().pax({"path": b"pax1"}).pax({"path": b"pax2"}).file("a")
    layer.raw(long).padded(b"long\0").pax({"path": b"pax"}).file("b")
    layer.pax({"path": b""}).file("c")
    assert scan(layer.closed()).paths == [b"pax2", b"long", b"c"]


def test_records_say_what_a_header_has_no_room_for() -> None:
    records = {"uid": b"4294967295", "gid": b"-2", "mtime": b"-1.5", "size": b"3", "atime": b"1"}
    layer = Layer().file("a", b"abc", size=0, pax=records).file("b", uid=1 << 31, mtime=-5)
    first, second = scan(layer.closed()).entries
    assert (first.uid, first.gid, first.mtime_ns, first.size) == (
        0xFFFFFFFF,
        0xFFFFFFFE,
        -1_500_000_000,
        3,
    )
    assert (second.uid, second.mtime_ns) == (1 << 31, -5_000_000_000)


def test_a_global_header_gives_owners_and_times_to_all_that_follow() -> None:
    said: list[tuple[str | bytes, bytes]] = [("uid", b"7"), ("gid", b"8"), ("mtime", b"9")]
    said += [("path", b"p"), ("size", b"1000"), ("comment", b"c")]
    layer = Layer().file("a", uid=1).pax(said, b"g").file("b", b"b").pax({"mtime": b"1.5"})
    layer.file("c", b"c").pax({"uid": b""}, b"g").file("d", uid=2)
    entries = scan(layer.closed()).entries
    assert [(entry.path, entry.size, entry.uid, entry.mtime_ns // 10**8) for entry in entries] == [
        (b"a", 0, 1, entries[0].mtime_ns // 10**8),
        (b"b", 1, 7, 90),
        (b"c", 1, 7, 15),
        (b"d", 0, 2, 90),
    ]


def test_extended_attributes_are_bytes_of_any_length() -> None:
    xattrs = {b"user.big": bytes(range(256)) * 1024, b"user.empty": b"", b"user.\xff": b"\n"}
    entries = scan(Layer().file("a", xattrs=xattrs).directory("d").closed()).entries
    assert [entry.xattrs for entry in entries] == [xattrs, None]


def test_an_attribute_of_ten_megabytes_is_read() -> None:
    value = bytes(10 << 20)
    assert scan(Layer().file("a", xattrs={"user.a": value}).closed()).entry.xattrs == {
        b"user.a": value
    }


def test_volume_labels_and_parts_of_volumes_are_passed_over() -> None:
    layer = Layer().entry("label", b"V").file("a", b"1").entry("part", b"M", b"m" * 700)
    layer.pax({"path": b"lost"}).entry("names", b"N", b"n" * 512).file("b", b"2")
    found = scan(layer.closed())
    assert (found.paths, found.refusals) == ([b"a", b"b"], [])


def test_entries_come_as_often_as_the_archive_has_them() -> None:
    tar = Layer().file("a", b"1").file("./a", b"2").file("/a", b"3").directory("a").closed()
    entries = scan(tar).entries
    assert [(entry.path, content(tar, entry)) for entry in entries] == [
        (b"a", b"1"), (b"a", b"2"), (b"a", b"3"), (b"a", b""),
    ]  # fmt: skip


def test_any_byte_may_stand_in_a_name() -> None:
    name = bytes(range(1, 256)).replace(b"/", b"")[:255]
    assert scan(Layer().file(name).closed()).entry.path == name


# --- where an archive ends ---


def test_an_archive_may_end_without_blocks_of_zeros_and_without_padding() -> None:
    tar = bytes(Layer().file("a", b"1" * 600)) + block(b"b", b"0", size=5) + b"12345"
    found = scan(tar)
    assert (found.paths, found.length) == ([b"a", b"b"], len(tar))
    assert content(tar, found.entries[1]) == b"12345"
    assert scan(tar + bytes(100)).paths == [b"a", b"b"]


def test_all_that_follows_two_blocks_of_zeros_is_passed_over() -> None:
    tar = Layer().file("a").closed() + b"garbage" * 1000 + bytes(Layer().file("b"))
    found = scan(tar)
    assert (found.paths, found.length) == ([b"a"], len(tar))


def test_one_block_of_zeros_is_the_end_unless_a_header_follows() -> None:
    assert scan(bytes(Layer().file("a")) + bytes(BLOCK)).paths == [b"a"]
    assert scan(bytes(Layer().file("a").raw(bytes(BLOCK)).file("b"))).paths == [b"a", b"b"]
    assert scan(bytes(Layer().file("a").raw(bytes(BLOCK))) + b"garbage" * 200).paths == [b"a"]


@pytest.mark.parametrize("size", [0, 1, BLOCK, 1000, 2 * BLOCK, 10240])
def test_nothing_but_zeros_is_an_empty_archive(size: int) -> None:
    assert scan(bytes(size)) == ([], [], size)


def test_a_file_larger_than_memory_is_passed_over() -> None:
    entries: list[TarEntry] = []
    scanner = TarScanner(entries.append)
    size = 9 << 30
    scanner.feed(block(b"big", b"0", size=size))
    piece = memoryview(bytes(1 << 20))
    for _ in range(size >> 20):
        scanner.feed(piece)
    scanner.feed(Layer().file("a").closed())
    assert scanner.finish() == size + 4 * BLOCK
    assert [(entry.path, entry.size) for entry in entries] == [(b"big", size), (b"a", 0)]


def test_an_entry_is_told_before_its_content_came() -> None:
    entries: list[TarEntry] = []
    scanner = TarScanner(entries.append)
    scanner.feed(block(b"a", b"0", size=1 << 20))
    assert [entry.path for entry in entries] == [b"a"]
    with pytest.raises(InvalidLayer, match="the layer is truncated: its tar ends after 512 bytes"):
        scanner.finish()


def test_what_the_callbacks_raise_comes_out() -> None:
    def fail(told: TarEntry | Refusal) -> None:
        raise ValueError(told.path)

    tar = Layer().file("a").closed()
    with pytest.raises(ValueError, match="a"):
        TarScanner(fail).feed(tar)
    with pytest.raises(ValueError, match=r"\.\./a"):
        TarScanner(lambda entry: None, fail).feed(Layer().file("../a").closed())
