from __future__ import annotations

import stat
from typing import ClassVar

import pyfuse3
import pytest
from pyfuse3 import EntryAttributes

from rossfs.fs.attributes import UNKNOWN_INO, Attributes, NamesOnly, absent, wanted
from rossfs.tree.node import FOREVER, Attr, AttrChange, Entry, Node, Symlink
from tests.fs.kernel import changed, reply
from tests.fs.memory import Constant


class Shown(Node):
    """A node that shows what it is given."""

    __slots__ = ("shown",)

    ttl: ClassVar[float] = 2.5

    def __init__(self, shown: Attr, ino: int = 77) -> None:
        super().__init__(ino)
        self.shown = shown

    def attr(self) -> Attr:
        return self.shown


def shown(node: Node, attributes: Attributes) -> EntryAttributes:
    """What the kernel is told of *node*."""
    return attributes.build(node, node.attr())


def test_every_field_reaches_the_kernel() -> None:
    attr = Attr(
        mode=stat.S_IFBLK | 0o640,
        size=5_000_000_000,
        nlink=3,
        uid=12,
        gid=13,
        rdev=0x801,
        mtime_ns=1_700_000_000_123_456_789,
        ctime_ns=1_700_000_001_000_000_001,
        atime_ns=1_700_000_002_999_999_999,
    )
    entry = shown(Shown(attr, ino=1 << 62 | 5), Attributes(1000, 1001))
    assert entry.st_ino == 1 << 62 | 5
    assert entry.st_mode == attr.mode
    assert entry.st_size == attr.size
    assert entry.st_blocks == 9_765_625
    assert entry.st_nlink == 3
    assert (entry.st_uid, entry.st_gid) == (12, 13)
    assert entry.st_rdev == 0x801
    assert entry.st_mtime_ns == attr.mtime_ns
    assert entry.st_ctime_ns == attr.ctime_ns
    assert entry.st_atime_ns == attr.atime_ns
    assert entry.entry_timeout == entry.attr_timeout == 2.5


def test_what_has_no_owner_belongs_to_the_mount() -> None:
    entry = shown(Shown(Attr(stat.S_IFREG | 0o444)), Attributes(1000, 1001))
    assert (entry.st_uid, entry.st_gid) == (1000, 1001)


def test_root_may_own_a_node_of_another_owners_mount() -> None:
    entry = shown(Shown(Attr(stat.S_IFREG, uid=0, gid=0)), Attributes(1000, 1001))
    assert (entry.st_uid, entry.st_gid) == (0, 0)


@pytest.mark.parametrize(
    "moment", [-1, -5, -1_500_000_001, -(10**18), 0, 1, 999_999_999, 4_000_000_000_000_000_001]
)
def test_every_time_survives(moment: int) -> None:
    attr = Attr(stat.S_IFREG, mtime_ns=moment, ctime_ns=moment, atime_ns=moment)
    entry = shown(Shown(attr), Attributes(0, 0))
    assert entry.st_mtime_ns == entry.st_ctime_ns == entry.st_atime_ns == moment


def test_the_umask_takes_permissions_and_nothing_else() -> None:
    attributes = Attributes(0, 0, umask=0o027)
    assert shown(Shown(Attr(stat.S_IFDIR | 0o755)), attributes).st_mode == stat.S_IFDIR | 0o750
    assert shown(Shown(Attr(stat.S_IFREG | 0o4755)), attributes).st_mode == stat.S_IFREG | 0o4750
    assert shown(Symlink(5, b"x"), attributes).st_mode == stat.S_IFLNK | 0o777


def test_one_byte_is_one_sector() -> None:
    entry = shown(Shown(Attr(stat.S_IFREG, size=1)), Attributes(0, 0))
    assert entry.st_blocks == 1


def test_what_is_immutable_is_cached_for_ever_unless_it_must_not_be() -> None:
    attributes = Attributes(0, 0)
    assert shown(Constant(), attributes).entry_timeout == FOREVER
    entry = attributes.uncached(Constant())
    assert entry.entry_timeout == entry.attr_timeout == 0


def test_an_absent_name_has_no_node_and_a_time() -> None:
    entry = absent(60.0)
    assert entry.st_ino == 0
    assert entry.entry_timeout == 60.0


def test_only_what_is_asked_for_changes() -> None:
    entry = EntryAttributes()
    entry.st_mode = stat.S_IFREG | 0o4751
    entry.st_uid, entry.st_gid, entry.st_size = 5, 6, 7
    entry.st_mtime_ns, entry.st_atime_ns = -3, 4
    assert wanted(entry, changed()) == AttrChange()
    assert wanted(entry, changed(mode=True)) == AttrChange(mode=0o4751)
    assert wanted(entry, changed(uid=True, gid=True)) == AttrChange(uid=5, gid=6)
    assert wanted(entry, changed(size=True)) == AttrChange(size=7)
    assert wanted(entry, changed(mtime=True, atime=True)) == AttrChange(mtime_ns=-3, atime_ns=4)


def test_a_name_only_has_a_number_and_a_type_but_no_node() -> None:
    names_only = NamesOnly.possible()
    assert names_only is not None, "the struct of this pyfuse3 is not known"
    with reply() as kernel:
        for position, entry in enumerate(
            (
                Entry(b"file", None, stat.S_IFREG, 1 << 62),
                Entry(b"directory", None, stat.S_IFDIR, 8),
                Entry(b"unnumbered", None),
            )
        ):
            assert pyfuse3.readdir_reply(kernel.token, entry.name, names_only(entry), position)
        listed = list(kernel)
    assert [entry.node_id for entry in listed] == [0, 0, 0]
    assert [entry.ino for entry in listed] == [1 << 62, 8, UNKNOWN_INO]
    assert [entry.kind for entry in listed] == [8, 4, 8]


def test_a_complete_entry_has_its_node_id_beside_names_only() -> None:
    names_only = NamesOnly.possible()
    assert names_only is not None
    with reply() as kernel:
        pyfuse3.readdir_reply(kernel.token, b"a", names_only(Entry(b"a", None)), 1)
        pyfuse3.readdir_reply(kernel.token, b"b", shown(Constant(b"xy", 90), Attributes(0, 0)), 2)
        name, complete = kernel
    assert (name.node_id, complete.node_id, complete.size) == (0, 90, 2)
    assert complete.ttl == FOREVER
