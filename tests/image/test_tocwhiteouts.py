"""Markers of what lower layers lose, in the table of their own layer."""

from __future__ import annotations

import stat

import pytest

from rossfs.image.record import HAS_WHITEOUTS, IMPLIED, OPAQUE, WHITEOUT
from rossfs.image.tarscan import HARDLINK
from tests.image.tocs import at, directory, entry, link, reasons, symlink, toc_of, tree


def test_a_whiteout_is_kept_as_an_empty_file_under_its_own_name() -> None:
    with toc_of(
        directory(b"d"), entry(b"d/.wh.x", size=5, offset=9, mode=0o600, uid=1, mtime_ns=3)
    ) as toc:
        record = toc.record(at(toc, b"d/.wh.x"))
        assert record.flags == WHITEOUT
        assert (record.mode, record.size, record.data) == (stat.S_IFREG | 0o600, 0, 0)
        assert (record.uid, record.mtime_ns) == (1, 3)
        assert toc.record(at(toc, b"d")).flags == HAS_WHITEOUTS


@pytest.mark.parametrize(
    "kind",
    [HARDLINK, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO],
)
def test_a_whiteout_is_one_whatever_type_the_entry_has(kind: int) -> None:
    with toc_of(entry(b".wh.x", kind, linkname=b"nothing", mode=0o644)) as toc:
        assert tree(toc) == {b".wh.x": "file 0"}
        assert toc.record(1).flags == WHITEOUT
        assert toc.record(1).mode == stat.S_IFREG | 0o644
        assert toc.link_target(1) == b""


def test_a_whiteout_removes_nothing_of_its_own_layer_before_or_after_it() -> None:
    with toc_of(
        directory(b"a"), entry(b"a/f"), entry(b".wh.a"), entry(b"a/g"), entry(b".wh.b"),
        directory(b"b"), entry(b"b/f"),
    ) as toc:  # fmt: skip
        assert sorted(tree(toc)) == [b".wh.a", b".wh.b", b"a", b"a/f", b"a/g", b"b", b"b/f"]


def test_an_opaque_marker_marks_its_directory_wherever_it_stands() -> None:
    for entries in (
        [directory(b"d"), entry(b"d/f"), entry(b"d/.wh..wh..opq")],
        [entry(b"d/.wh..wh..opq"), directory(b"d"), entry(b"d/f")],
        [entry(b"d/f"), entry(b"d/.wh..wh..opq"), directory(b"d"), directory(b"d")],
    ):
        with toc_of(*entries) as toc:
            assert toc.record(1).flags == OPAQUE | HAS_WHITEOUTS
            assert sorted(tree(toc)) == [b"d", b"d/.wh..wh..opq", b"d/f"]
            assert toc.record(at(toc, b"d/.wh..wh..opq")).flags == WHITEOUT


def test_the_root_may_be_opaque() -> None:
    with toc_of(entry(b".wh..wh..opq"), entry(b"f")) as toc:
        assert toc.record(0).flags == OPAQUE | HAS_WHITEOUTS | IMPLIED


def test_a_directory_that_was_replaced_is_opaque_no_more_but_for_that() -> None:
    with toc_of(entry(b"d/.wh..wh..opq"), entry(b"d"), entry(b"e/.wh.x"), directory(b"e")) as toc:
        assert tree(toc) == {b"d": "file 0", b"e": "dir", b"e/.wh.x": "file 0"}
        assert toc.record(at(toc, b"d")).flags == 0
        assert toc.record(at(toc, b"e")).flags == HAS_WHITEOUTS


def test_a_whiteout_and_what_is_below_the_whited_out_name_are_both_kept() -> None:
    with toc_of(entry(b".wh.foo"), entry(b"foo/.wh.bar")) as toc:
        assert sorted(tree(toc)) == [b".wh.foo", b"foo", b"foo/.wh.bar"]
        assert list(toc.implied) == [0, at(toc, b"foo")]


def test_a_whiteout_below_a_symlink_of_the_layer_is_void() -> None:
    with toc_of(
        directory(b"a"), symlink(b"l", b"a"), entry(b"l/f"), entry(b"l/.wh.x"),
        entry(b"l/.wh..wh..opq"), entry(b"l/sub/.wh.y"), entry(b"l/g"),
    ) as toc:  # fmt: skip
        assert sorted(tree(toc)) == [b"a", b"a/f", b"a/g", b"l"]
        assert toc.record(at(toc, b"a")).flags == 0
        assert toc.refusals == []


def test_a_whiteout_below_another_file_is_refused() -> None:
    with toc_of(entry(b"f"), entry(b"f/.wh.x")) as toc:
        assert tree(toc) == {b"f": "file 0"}
        assert reasons(toc) == {b"f/.wh.x": "is below a file that is no directory"}


def test_a_whiteout_of_no_name_is_refused() -> None:
    with toc_of(entry(b"d/.wh."), directory(b".wh.")) as toc:
        assert tree(toc) == {}
        assert reasons(toc) == dict.fromkeys([b"d/.wh.", b".wh."], "is a whiteout of no name")


def test_markers_of_aufs_are_refused_with_everything_below_them() -> None:
    with toc_of(
        directory(b".wh..wh.plnk"), entry(b".wh..wh.plnk/1.2"), entry(b".wh..wh.aufs"),
        directory(b".wh..wh.orph/x"), entry(b"d/.wh..wh..opq2"), link(b"f", b".wh..wh.plnk/1.2"),
    ) as toc:  # fmt: skip
        assert tree(toc) == {}
        aufs = "is a marker of AUFS, which means nothing in an image"
        assert reasons(toc) == {
            b".wh..wh.plnk": aufs,
            b".wh..wh.plnk/1.2": "is below a whiteout",
            b".wh..wh.aufs": aufs,
            b".wh..wh.orph/x": "is below a whiteout",
            b"d/.wh..wh..opq2": aufs,
            b"f": "is a hard link to what is below a whiteout",
        }


def test_nothing_is_below_a_whiteout() -> None:
    with toc_of(directory(b".wh.x"), entry(b".wh.x/f"), entry(b".wh.y/f")) as toc:
        assert tree(toc) == {b".wh.x": "file 0"}
        assert reasons(toc) == {
            b".wh.x/f": "is below a file that is no directory",
            b".wh.y/f": "is below a whiteout",
        }


def test_a_name_of_255_bytes_may_be_whited_out() -> None:
    name = b".wh." + b"n" * 255
    with toc_of(entry(name), entry(b"d/" + name)) as toc:
        assert toc.record(at(toc, name)).flags == WHITEOUT
        assert toc.path(at(toc, b"d/" + name)) == b"d/" + name


def test_a_whiteout_may_come_again() -> None:
    with toc_of(entry(b".wh.x", uid=1), entry(b".wh.x", uid=2)) as toc:
        assert toc.count == 2
        assert toc.record(1).uid == 2
