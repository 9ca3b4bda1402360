"""What entries do to each other in one layer: image-spec, layer.md, "Applying Changesets"."""

from __future__ import annotations

import os
import stat

import pytest

from rossfs.errors import InvalidLayer
from rossfs.image import entrytree, tocbuilder, tocwriter
from rossfs.image.record import IMPLIED, OPAQUE, SPARSE, XATTRS
from rossfs.image.tarscan import TarEntry
from tests.image.tocs import at, directory, entry, link, reasons, symlink, toc_of, tree

# --- one path, several entries ---


def test_the_last_entry_of_a_path_wins() -> None:
    with toc_of(
        entry(b"f", offset=512, uid=1), entry(b"g"), entry(b"f", offset=1024, uid=2)
    ) as toc:
        assert tree(toc) == {b"f": "file 1024", b"g": "file 0"}
        assert toc.record(1).uid == 2


def test_a_directory_over_a_directory_replaces_its_attributes_and_keeps_what_is_in_it() -> None:
    with toc_of(
        directory(b"d", mode=0o700, uid=1, mtime_ns=1, xattrs={b"user.a": b"1"}),
        entry(b"d/f"),
        directory(b"d", mode=0o1777, uid=2, gid=3, mtime_ns=2, xattrs={b"user.b": b"2"}),
    ) as toc:
        record = toc.record(1)
        assert (record.mode, record.uid, record.gid) == (stat.S_IFDIR | 0o1777, 2, 3)
        assert record.mtime_ns == 2
        assert toc.xattrs(1) == {b"user.b": b"2"}
        assert tree(toc) == {b"d": "dir", b"d/f": "file 0"}
        assert record.flags == XATTRS


def test_a_directory_that_comes_again_without_attributes_has_none() -> None:
    with toc_of(directory(b"d", xattrs={b"user.a": b"1"}), directory(b"d")) as toc:
        assert toc.xattrs(1) == {}
        assert toc.record(1).rare == 0


@pytest.mark.parametrize(
    ("over", "text"),
    [
        (entry(b"d", offset=7), "file 7"),
        (symlink(b"d", b"x"), "symlink x"),
        (entry(b"d", stat.S_IFIFO), "fifo 0,0"),
        (entry(b"d", stat.S_IFCHR, rdev=os.makedev(1, 3)), "char 1,3"),
        (link(b"d", b"other"), "file 9"),
    ],
)
def test_everything_else_removes_a_directory_with_all_that_is_below_it(
    over: TarEntry, text: str
) -> None:
    before = [entry(b"other", offset=9), directory(b"d/e"), entry(b"d/e/f"), entry(b"d/g")]
    with toc_of(*before, over) as toc:
        assert tree(toc) == {b"d": text, b"other": "file 9"}


def test_a_directory_replaces_a_file_and_hides_what_lower_layers_have_there() -> None:
    with toc_of(entry(b"d"), directory(b"d"), entry(b"d/f")) as toc:
        assert tree(toc) == {b"d": "dir", b"d/f": "file 0"}
        assert toc.record(1).flags == OPAQUE


def test_a_directory_that_replaced_a_file_stays_opaque_when_it_comes_again() -> None:
    with toc_of(entry(b"d"), directory(b"d"), directory(b"d", uid=5)) as toc:
        assert toc.record(1).flags == OPAQUE
        assert toc.record(1).uid == 5


def test_a_directory_that_comes_back_after_a_file_is_empty_and_opaque() -> None:
    with toc_of(directory(b"d"), entry(b"d/f"), entry(b"d"), directory(b"d"), entry(b"d/g")) as toc:
        assert tree(toc) == {b"d": "dir", b"d/g": "file 0"}
        assert toc.record(1).flags == OPAQUE


def test_a_directory_replaces_a_symlink_and_what_was_put_through_it_stays() -> None:
    with toc_of(
        directory(b"a"), symlink(b"d", b"a"), entry(b"d/f"), directory(b"d"), entry(b"d/g")
    ) as toc:
        assert tree(toc) == {
            b"a": "dir", b"d": "dir", b"a/f": "file 0", b"d/g": "file 0",
        }  # fmt: skip


def test_entries_after_a_replacement_go_to_what_is_there_then() -> None:
    with toc_of(
        entry(b"a/x/f"), entry(b"b/f"), symlink(b"a/x", b"../b"), entry(b"a/x/g"),
        symlink(b"a/x", b"../c"), entry(b"a/x/h"),
        # A hard link that replaces the directory above it by way of a symlink.
        symlink(b"s", b"t/u"), entry(b"s/f"), symlink(b"up", b"."), link(b"up/t", b"b/f"),
        entry(b"s/g"),
    ) as toc:  # fmt: skip
        assert reasons(toc) == {b"s/g": "is below a file that is no directory"}
        assert tree(toc) == {
            b"a": "dir", b"b": "dir", b"c": "dir", b"a/x": "symlink ../c", b"b/f": "file 0",
            b"b/g": "file 0", b"c/h": "file 0", b"s": "symlink t/u", b"t": "file 0",
            b"up": "symlink .",
        }  # fmt: skip


def test_a_file_may_replace_the_directory_that_led_to_it() -> None:
    with toc_of(symlink(b"d/up", b".."), entry(b"d/up/d"), entry(b"d/up/g")) as toc:
        assert tree(toc) == {b"d": "file 0"}
        assert reasons(toc) == {b"d/up/g": "is below a file that is no directory"}


def test_a_name_that_a_symlink_leads_back_over_may_become_a_file() -> None:
    with toc_of(symlink(b"l", b"a/.."), entry(b"l/f"), entry(b"a"), entry(b"l/g")) as toc:
        assert tree(toc) == {b"a": "file 0", b"f": "file 0", b"l": "symlink a/.."}
        assert reasons(toc) == {b"l/g": "is below a file that is no directory"}


# --- parents ---


def test_missing_parents_are_implied_and_belong_to_root() -> None:
    with toc_of(entry(b"a/b/f", uid=7, gid=7, mtime_ns=7)) as toc:
        for path in (b"a", b"a/b"):
            record = toc.record(at(toc, path))
            assert record.flags == IMPLIED
            assert record.mode == stat.S_IFDIR | 0o755
            assert (record.uid, record.gid, record.mtime_ns) == (0, 0, 0)


def test_an_implied_directory_that_is_named_later_is_implied_no_more() -> None:
    with toc_of(entry(b"a/b/f"), directory(b"a", mode=0o711)) as toc:
        assert toc.record(at(toc, b"a")).flags == 0
        assert toc.record(at(toc, b"a")).mode == stat.S_IFDIR | 0o711
        assert tree(toc) == {b"a": "dir", b"a/b": "dir", b"a/b/f": "file 0"}


def test_the_entry_of_the_root_gives_its_attributes() -> None:
    with toc_of(entry(b"f"), directory(b"", mode=0o555, uid=9, xattrs={b"user.r": b""})) as toc:
        record = toc.record(0)
        assert (record.mode, record.uid, record.flags) == (stat.S_IFDIR | 0o555, 9, XATTRS)
        assert toc.xattrs(0) == {b"user.r": b""}
        assert list(toc.implied) == []
        assert toc.find(0, b"f") == 1


@pytest.mark.parametrize("root", [entry(b""), symlink(b"", b"x"), link(b"", b"f")])
def test_a_root_that_is_no_directory_is_refused(root: TarEntry) -> None:
    with toc_of(entry(b"f"), root) as toc:
        assert reasons(toc) == {b"": "is the root, but no directory"}
        assert tree(toc) == {b"f": "file 0"}
        assert list(toc.implied) == [0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"usr/lib", b"usr/lib"),
        (b"/usr/lib", b"usr/lib"),
        (b"./usr//lib/", b"usr/lib"),
        (b"../../../usr/lib", b"usr/lib"),
        (b"usr/./x/../lib", b"usr/lib"),
        (b"nowhere/../usr/lib", b"usr/lib"),
        (b".", b""),
        (b"/", b""),
        (b"..", b""),
    ],
)
def test_a_parent_that_is_a_symlink_is_followed_inside_the_root(text: bytes, place: bytes) -> None:
    with toc_of(directory(b"usr"), symlink(b"lib", text), entry(b"lib/f", offset=3)) as toc:
        path = place + b"/f" if place else b"f"
        assert tree(toc)[path] == "file 3"
        assert tree(toc)[b"lib"].startswith("symlink ")
        assert at(toc, b"nowhere") == -1
        assert toc.refusals == []


def test_a_relative_symlink_starts_where_it_is() -> None:
    with toc_of(
        symlink(b"a/b/l", b"../c"), symlink(b"m", b"a/b/l/d"), entry(b"m/f"), entry(b"a/b/l/../g")
    ) as toc:
        assert tree(toc)[b"a/c/d/f"] == "file 0"
        assert tree(toc)[b"a/g"] == "file 0"


def test_forty_symlinks_are_followed_and_no_more() -> None:
    chain = [symlink(b"l%d" % number, b"l%d" % (number + 1)) for number in range(60)]
    with toc_of(*chain, entry(b"l20/f"), entry(b"l19/g")) as toc:
        assert tree(toc)[b"l60/f"] == "file 0"
        assert reasons(toc) == {b"l19/g": "is below a symbolic link that leads nowhere"}


def test_a_symlink_to_itself_leads_nowhere() -> None:
    with toc_of(symlink(b"l", b"l"), entry(b"l/f"), symlink(b"e", b""), entry(b"e/f")) as toc:
        assert tree(toc) == {b"e": "symlink ", b"l": "symlink l"}
        assert set(reasons(toc)) == {b"l/f", b"e/f"}


def test_a_symlink_to_no_valid_name_is_not_followed() -> None:
    with toc_of(
        symlink(b"a", b"x" * 256), entry(b"a/f"), symlink(b"b", b".wh.x/y"), entry(b"b/f"),
        symlink(b"c", b"a\0b"), entry(b"c/f"),
    ) as toc:  # fmt: skip
        assert sorted(tree(toc)) == [b"a", b"b", b"c"]
        assert reasons(toc) == {
            b"a/f": "is below a symbolic link that leads to no valid name",
            b"b/f": "is below a whiteout",
            b"c/f": "is below a symbolic link that leads to no valid name",
        }


def test_a_layer_that_makes_symlinks_a_burden_is_followed_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entrytree, "MAX_FOLLOWED", 50)
    with toc_of(
        symlink(b"l", b"a/b/c/d"), *[entry(b"l/%d/f" % number) for number in range(20)]
    ) as toc:
        assert toc.refused == 8
        assert at(toc, b"a/b/c/d/11/f") > 0


@pytest.mark.parametrize(
    "parent",
    [
        entry(b"p"),
        entry(b"p", stat.S_IFIFO),
        entry(b"p", stat.S_IFBLK, rdev=5),
        link(b"p", b"file"),
        link(b"p", b"in a lower layer"),
    ],
)
def test_what_is_below_another_kind_of_file_is_refused(parent: TarEntry) -> None:
    below = [entry(b"p/f"), directory(b"p/d"), entry(b"p/d/g"), symlink(b"p/s", b"x")]
    with toc_of(entry(b"file"), parent, *below, entry(b"q")) as toc:
        assert sorted(tree(toc)) == [b"file", b"p", b"q"]
        assert reasons(toc) == {each.path: "is below a file that is no directory" for each in below}


# --- single entries ---


def test_the_device_0_0_is_refused_and_what_was_there_stays() -> None:
    with toc_of(entry(b"a", offset=1), entry(b"a", stat.S_IFCHR), entry(b"b", stat.S_IFBLK)) as toc:
        assert tree(toc) == {b"a": "file 1", b"b": "block 0,0"}
        assert reasons(toc) == {b"a": "is the device 0, 0, which is a whiteout to overlayfs"}


def test_xattrs_are_kept_byte_by_byte() -> None:
    big = os.urandom(70_000)
    attributes = {b"security.capability": b"\x01\0\0\x02\xff", b"user.\xff=": big, b"user.e": b""}
    with toc_of(
        entry(b"f", xattrs=attributes), symlink(b"l", b"x", xattrs={b"user.l": b"1"})
    ) as toc:
        assert toc.xattrs(1) == attributes
        assert toc.record(1).flags == XATTRS
        assert toc.xattrs(2) == {b"user.l": b"1"}
        assert toc.xattrs(0) == {}


def test_xattrs_that_an_overlay_would_obey_are_dropped() -> None:
    with toc_of(
        directory(b"a", xattrs={b"trusted.overlay.opaque": b"y", b"user.overlay.opaque": b"y"}),
        directory(b"b", xattrs={b"trusted.overlay.x": b"", b"trusted.other": b"1"}),
        directory(b"c", xattrs={}),
    ) as toc:
        assert [dict(toc.xattrs(index)) for index in (1, 2, 3)] == [
            {},
            {b"trusted.other": b"1"},
            {},
        ]
        assert [toc.record(index).flags for index in (1, 2, 3)] == [0, XATTRS, 0]


def test_equal_xattrs_are_in_the_table_once() -> None:
    label = {b"security.selinux": b"system_u:object_r:usr_t:s0\0"}
    with toc_of(*[entry(b"f%d" % number, xattrs=dict(label)) for number in range(100)]) as toc:
        assert {toc.record(index).rare for index in range(1, 101)} == {1}
        assert toc.xattrs(100) == label


def test_a_sparse_file_has_its_pieces_and_may_have_xattrs_too() -> None:
    pieces = ((0, 10), (4096, 5), (8192, 0))
    with toc_of(
        entry(b"s", size=9000, stored=15, offset=512, sparse=pieces, xattrs={b"user.x": b"y"}),
        entry(b"hole", size=2**62, sparse=()),
        entry(b"dense", size=1),
    ) as toc:
        index = at(toc, b"s")
        record = toc.record(index)
        assert (record.size, record.data, record.flags) == (9000, 512, SPARSE | XATTRS)
        found = toc.sparse(index)
        assert found is not None
        assert list(found) == list(pieces)
        assert toc.xattrs(index) == {b"user.x": b"y"}
        hole = toc.sparse(at(toc, b"hole"))
        assert hole is not None
        assert len(hole) == 0
        assert toc.record(at(toc, b"hole")).size == 2**62
        assert toc.sparse(at(toc, b"dense")) is None


# --- limits ---


def test_a_layer_of_too_many_entries_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrytree, "MAX_INODES", 10)
    with toc_of(*[entry(b"%d" % number) for number in range(9)]) as toc:
        assert toc.count == 10
    with (
        pytest.raises(InvalidLayer, match="more than 10 entries"),
        toc_of(*[entry(b"%d" % number) for number in range(10)]),
    ):
        pass


def test_a_layer_that_implies_too_many_directories_is_invalid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entrytree, "MAX_IMPLIED", 10)
    with (
        pytest.raises(InvalidLayer, match="more than 10 directories"),
        toc_of(entry(b"d/" * 10 + b"f")),
    ):
        pass


def test_a_layer_of_too_long_texts_names_or_attributes_is_invalid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (entrytree, tocbuilder, tocwriter):
        monkeypatch.setattr(module, "MAX_HEAP", 100)
    value = b"x" * 30
    layers = {
        "symlinks": [symlink(b"%d" % number, value) for number in range(4)],
        "names": [entry(b"%d%s" % (number, value)) for number in range(4)],
        "attributes": [entry(b"%d" % n, xattrs={b"user.%d" % n: value}) for n in range(4)],
    }
    for what, entries in layers.items():
        with (
            pytest.raises(InvalidLayer, match=f"more than 100 bytes of .*{what}"),
            toc_of(*entries),
        ):
            pass
