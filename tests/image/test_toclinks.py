"""Hard links: within a layer, to what comes later, to lower layers."""

from __future__ import annotations

import itertools
import os
import stat

import pytest

from rossfs.image.record import LOWER_LINK, SPARSE, WHITEOUT, XATTRS
from rossfs.image.tarscan import TarEntry
from rossfs.image.toc import Toc
from tests.image.tocs import at, directory, entry, link, reasons, symlink, toc_of, tree


def groups(toc: Toc) -> list[list[bytes]]:
    """The names of each inode that has several; what records say of them must agree."""
    found: dict[int, list[bytes]] = {}
    for index in range(1, toc.count):
        record = toc.record(index)
        first = toc.record(record.inode)
        assert first.inode == record.inode
        if record.flags & ~first.flags:
            assert record.flags == first.flags | LOWER_LINK
            assert toc.alone(index) == first
            record = record._replace(flags=first.flags, data=first.data, extra=first.extra)
        else:
            assert record.inode <= index
        assert record._replace(name_offset=0, name_length=0, parent=0) == first._replace(
            name_offset=0, name_length=0, parent=0
        )
        found.setdefault(record.inode, []).append(toc.path(index))
    for inode, names in found.items():
        assert toc.record(inode).nlink == len(names)
    return [names for names in found.values() if len(names) > 1]


def test_a_hard_link_has_the_attributes_of_its_target_and_not_its_own() -> None:
    with toc_of(
        entry(
            b"z", offset=512, size=7, stored=3, mode=0o4711, uid=1, gid=2, mtime_ns=3,
            sparse=((0, 3),), xattrs={b"user.x": b"1"},
        ),
        link(b"a", b"z", mode=0o600, uid=9, gid=9, mtime_ns=9, xattrs={b"user.y": b"2"}),
    ) as toc:  # fmt: skip
        assert groups(toc) == [[b"a", b"z"]]
        record = toc.record(at(toc, b"a"))
        assert (record.mode, record.uid, record.gid) == (stat.S_IFREG | 0o4711, 1, 2)
        assert (record.mtime_ns, record.size, record.data) == (3, 7, 512)
        assert record.flags == SPARSE | XATTRS
        assert toc.xattrs(at(toc, b"a")) == {b"user.x": b"1"}


def test_chains_of_links_are_one_inode() -> None:
    with toc_of(
        entry(b"d/a"), link(b"b", b"d/a"), link(b"c", b"b"), link(b"d/d", b"c"), entry(b"e")
    ) as toc:
        assert groups(toc) == [[b"b", b"c", b"d/a", b"d/d"]]
        assert toc.record(at(toc, b"e")).nlink == 1


def test_a_link_is_to_what_the_target_is_at_that_moment() -> None:
    with toc_of(
        entry(b"a", offset=1), link(b"b", b"a"), entry(b"a", offset=2), link(b"c", b"a")
    ) as toc:
        assert tree(toc) == {b"a": "file 2", b"b": "file 1", b"c": "file 2"}
        assert groups(toc) == [[b"a", b"c"]]


def test_a_link_keeps_its_inode_when_the_directory_of_the_target_is_removed() -> None:
    with toc_of(entry(b"d/a", offset=1), link(b"b", b"d/a"), entry(b"d", offset=2)) as toc:
        assert tree(toc) == {b"b": "file 1", b"d": "file 2"}
        assert groups(toc) == []


def test_a_link_replaces_what_is_there() -> None:
    with toc_of(
        entry(b"a", offset=1), entry(b"b", offset=2), link(b"b", b"a"), directory(b"c"),
        entry(b"c/x"), link(b"c", b"a"), link(b"c", b"b"),
    ) as toc:  # fmt: skip
        assert tree(toc) == {b"a": "file 1", b"b": "file 1", b"c": "file 1"}
        assert groups(toc) == [[b"a", b"b", b"c"]]


def test_a_link_to_a_symlink_is_that_symlink() -> None:
    with toc_of(
        entry(b"f"), symlink(b"s", b"f"), link(b"t", b"s"), symlink(b"dangling", b"nowhere"),
        link(b"u", b"dangling"),
    ) as toc:  # fmt: skip
        assert groups(toc) == [[b"dangling", b"u"], [b"s", b"t"]]
        assert toc.symlink_text(at(toc, b"t")) == b"f"
        assert toc.symlink_text(at(toc, b"u")) == b"nowhere"


def test_devices_and_fifos_may_be_linked() -> None:
    null = os.makedev(1, 3)
    with toc_of(
        entry(b"null", stat.S_IFCHR, rdev=null), entry(b"pipe", stat.S_IFIFO), link(b"n", b"null"),
        link(b"p", b"pipe"),
    ) as toc:  # fmt: skip
        assert groups(toc) == [[b"n", b"null"], [b"p", b"pipe"]]
        assert toc.rdev(at(toc, b"n")) == null


def test_the_parents_of_a_target_are_followed() -> None:
    with toc_of(
        symlink(b"lib", b"usr/lib"), entry(b"lib/a"), link(b"b", b"lib/a"),
        link(b"lib/c", b"lib/b"), link(b"d", b"lib/never"),
    ) as toc:  # fmt: skip
        assert groups(toc) == [[b"b", b"usr/lib/a"]]
        assert toc.link_target(at(toc, b"usr/lib/c")) == b"usr/lib/b"
        assert toc.link_target(at(toc, b"d")) == b"usr/lib/never"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        (b"../x", b"d/x/low"),
        (b"y/../../x", b"d/x/low"),
        (b"/x/y", b"x/y/low"),
        (b"z", b"d/e/z/low"),
        (b"../../../..", b"low"),
        (b"x/y/../../..", b"d/low"),
    ],
)
def test_the_target_in_a_lower_layer_is_a_path_without_symlinks(text: bytes, target: bytes) -> None:
    with toc_of(
        directory(b"d/e"), directory(b"x"), symlink(b"d/e/l", text), symlink(b"m", b"d/e/l"),
        link(b"a", b"m/low"),
    ) as toc:  # fmt: skip
        assert toc.link_target(at(toc, b"a")) == target


def test_a_link_to_a_directory_is_refused() -> None:
    with toc_of(
        directory(b"d"), entry(b"i/f"), entry(b"x", offset=1), link(b"x", b"d"), link(b"y", b"i"),
        link(b"z", b""),
    ) as toc:  # fmt: skip
        assert reasons(toc) == dict.fromkeys([b"x", b"y", b"z"], "is a hard link to a directory")
        assert tree(toc)[b"x"] == "file 1"


def test_a_link_to_itself_is_refused_and_what_was_there_stays() -> None:
    with toc_of(
        entry(b"a", offset=1), link(b"a", b"a"), link(b"b", b"b"), symlink(b"l", b"."),
        link(b"c", b"l/c"),
    ) as toc:  # fmt: skip
        assert tree(toc) == {b"a": "file 1", b"l": "symlink ."}
        assert reasons(toc) == dict.fromkeys([b"a", b"b"], "is a hard link to itself") | {
            b"c": "is a hard link to itself"
        }


def test_a_link_to_what_it_replaces_is_refused() -> None:
    with toc_of(entry(b"d/e/f"), link(b"d", b"d/e/f")) as toc:
        assert tree(toc) == {b"d": "dir", b"d/e": "dir", b"d/e/f": "file 0"}
        assert reasons(toc) == {b"d": "is a hard link to what it replaces"}


def test_a_link_below_what_is_no_directory_or_to_a_whiteout_is_refused() -> None:
    with toc_of(entry(b"f"), link(b"a", b"f/x"), entry(b".wh.w"), link(b"b", b".wh.w")) as toc:
        assert reasons(toc) == {
            b"a": "is a hard link to what is below a file that is no directory",
            b"b": "is a hard link to a whiteout",
        }
        assert toc.record(at(toc, b".wh.w")).flags == WHITEOUT


def test_a_link_to_what_comes_later_is_to_a_lower_layer_or_else_to_that() -> None:
    with toc_of(link(b"a", b"d/f"), link(b"b", b"a"), entry(b"d/f", offset=5)) as toc:
        assert groups(toc) == [[b"a", b"b", b"d/f"]]
        assert tree(toc)[b"a"] == tree(toc)[b"b"] == "lower d/f, else file 5"
        assert toc.link_target(at(toc, b"d/f")) == b""


def test_a_link_to_what_comes_later_has_the_attributes_of_that() -> None:
    with toc_of(
        link(b"a", b"z", mode=0o600, uid=9, xattrs={b"user.y": b"2"}),
        entry(
            b"z", offset=512, size=7, stored=3, mode=0o4711, uid=1, gid=2, mtime_ns=3,
            sparse=((0, 3),), xattrs={b"user.x": b"1"},
        ),
        link(b"b", b"null"), entry(b"null", stat.S_IFCHR, rdev=os.makedev(1, 3)),
    ) as toc:  # fmt: skip
        assert groups(toc) == [[b"a", b"z"], [b"b", b"null"]]
        record = toc.record(at(toc, b"a"))
        assert (record.mode, record.uid, record.size) == (stat.S_IFREG | 0o4711, 1, 7)
        assert record.flags == SPARSE | XATTRS | LOWER_LINK
        assert toc.xattrs(at(toc, b"a")) == {b"user.x": b"1"}
        assert list(toc.sparse(at(toc, b"a")) or ()) == [(0, 3)]
        assert toc.rdev(at(toc, b"b")) == os.makedev(1, 3)


def test_a_link_to_what_comes_later_is_to_what_is_there_in_the_end() -> None:
    with toc_of(link(b"a", b"f"), entry(b"f", offset=1), entry(b"f", offset=2)) as toc:
        assert groups(toc) == [[b"a", b"f"]]
        assert tree(toc)[b"a"] == "lower f, else file 2"


def test_a_link_below_a_parent_that_comes_later_is_to_what_it_leads_to() -> None:
    with toc_of(link(b"a", b"d/f"), symlink(b"d", b"e"), entry(b"e/f", offset=5)) as toc:
        assert groups(toc) == [[b"a", b"e/f"]]
        assert tree(toc)[b"a"] == "lower d/f, else file 5"
    with toc_of(link(b"a", b"d/f"), entry(b"d", offset=5)) as toc:
        assert tree(toc)[b"a"] == "lower d/f"


def test_links_to_later_links_are_followed_to_their_end() -> None:
    with toc_of(
        link(b"a", b"b"), link(b"b", b"c"), link(b"c", b"d"), symlink(b"d", b"text")
    ) as toc:
        assert groups(toc) == [[b"a", b"b", b"c", b"d"]]
        assert toc.symlink_text(at(toc, b"a")) == b"text"
        assert [toc.link_target(index) for index in (1, 2, 3)] == [b"b", b"c", b"d"]


def test_a_long_chain_of_later_links_is_followed() -> None:
    names = [b"%06d" % number for number in range(20_000)]
    links = (link(name, target) for name, target in itertools.pairwise(names))
    with toc_of(*links, entry(names[-1], offset=7)) as toc:
        assert {toc.alone(index).data for index in toc.children(0)} == {7}
        assert toc.record(1).nlink == len(names)


def test_a_link_to_what_becomes_a_directory_is_to_a_lower_layer() -> None:
    with toc_of(link(b"x/a", b"d"), link(b"b", b"x/a"), directory(b"d"), entry(b"e")) as toc:
        assert tree(toc) == {
            b"b": "lower d", b"d": "dir", b"e": "file 0", b"x": "dir", b"x/a": "lower d",
        }  # fmt: skip
        assert not reasons(toc)


def test_what_only_whiteouts_make_a_directory_may_be_a_file_of_a_lower_layer() -> None:
    with toc_of(
        entry(b"f/.wh.x"), link(b"a", b"f"), entry(b"g/h/.wh..wh..opq"), link(b"b", b"g"),
        link(b"c", b"g/h"),
    ) as toc:  # fmt: skip
        shown = tree(toc)
        assert (shown[b"a"], shown[b"b"], shown[b"c"]) == ("lower f", "lower g", "lower g/h")
    with toc_of(entry(b"f/.wh.x"), link(b"a", b"f"), entry(b"f", offset=5)) as toc:
        assert tree(toc) == {b"a": "lower f, else file 5", b"f": "file 5"}


@pytest.mark.parametrize(
    "made", [directory(b"f"), entry(b"f/y"), link(b"f/y", b"z"), directory(b"f/g"), entry(b"f/g/y")]
)
def test_what_an_entry_makes_a_directory_is_none(made: TarEntry) -> None:
    with toc_of(entry(b"f/.wh.x"), entry(b"f/g/.wh.x"), made, link(b"a", b"f")) as toc:
        assert reasons(toc) == {b"a": "is a hard link to a directory"}
        assert at(toc, b"a") == -1


def test_a_link_to_the_directory_that_it_is_in_is_refused() -> None:
    with toc_of(entry(b"f/g/.wh.x"), link(b"f/g/a", b"f"), link(b"h/a", b"h")) as toc:
        assert reasons(toc) == dict.fromkeys([b"f/g/a", b"h/a"], "is a hard link to a directory")


def test_a_link_to_what_this_layer_does_not_have_says_so() -> None:
    with toc_of(
        link(b"d/a", b"usr/bin/perl", mode=0o755, uid=5), link(b"b", b"usr/bin/perl"), entry(b"c")
    ) as toc:
        assert tree(toc) == {
            b"b": "lower usr/bin/perl", b"c": "file 0", b"d": "dir", b"d/a": "lower usr/bin/perl",
        }  # fmt: skip
        record = toc.record(at(toc, b"d/a"))
        assert record.flags == LOWER_LINK
        assert (record.mode, record.size, record.nlink) == (stat.S_IFREG | 0o755, 0, 1)
        assert record.inode == at(toc, b"d/a")
        assert toc.link_target(at(toc, b"c")) == b""
        # The parents of the target are not this layer's business.
        assert at(toc, b"usr") == -1


def test_a_chain_that_ends_in_a_lower_layer_is_one_inode() -> None:
    with toc_of(link(b"a", b"low"), link(b"b", b"a"), link(b"c", b"b")) as toc:
        assert groups(toc) == [[b"a", b"b", b"c"]]
        assert [toc.link_target(index) for index in (1, 2, 3)] == [b"low"] * 3


def test_links_in_a_circle_are_links_to_lower_layers() -> None:
    with toc_of(
        link(b"a", b"b"), link(b"b", b"c"), link(b"c", b"d"), link(b"d", b"b"), link(b"x", b"a")
    ) as toc:
        assert tree(toc) == {
            b"a": "lower b", b"b": "lower c", b"c": "lower d", b"d": "lower c", b"x": "lower b",
        }  # fmt: skip
    with toc_of(link(b"a", b"b"), link(b"b", b"c"), link(b"c", b"a")) as toc:
        assert tree(toc) == {b"a": "lower b", b"b": "lower c", b"c": "lower b"}


def test_a_link_that_was_replaced_settles_nothing() -> None:
    with toc_of(link(b"a", b"f"), entry(b"a", offset=3), entry(b"f", offset=4)) as toc:
        assert tree(toc) == {b"a": "file 3", b"f": "file 4"}
        assert groups(toc) == []
