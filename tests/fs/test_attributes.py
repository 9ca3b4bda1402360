from __future__ import annotations

import stat
from typing import ClassVar

import pytest
from pyfuse3 import EntryAttributes

from rossfs.fs.attributes import Attributes, absent, wanted
from rossfs.tree.node import FOREVER, Attr, AttrChange, Node, Symlink
from tests.fs.kernel import changed
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
