"""Names, attributes and forgetting; open files are in test_direct_open.py."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.fs import wire
from rossfs.fs.statfs import NAME_MAX
from rossfs.tree.node import FOREVER, Attr
from rossfs.tree.numbers import FIRST_HASHED, TREE_SHIFT
from rossfs.tree.trees import Trees
from tests.fs.asking import CTX, ROOT, ino, over, small_tree
from tests.fs.forest import PARENT, Clearing, Forest
from tests.fs.kernel import at_once
from tests.fs.memory import Memory, MemoryFile
from tests.fs.raw import Asked, Entry, Mount, Raw, mounted
from tests.fs.wood import LEAF, PASSIVE, TIMES, Wood

MANY = 50
TOP = 5 << TREE_SHIFT
"""The number of the tree's directory."""

NOBODY = 6 << TREE_SHIFT
"""A number of a tree that is not there."""

SHOWN = {
    b"security.capability": b"%d" % PASSIVE,
    b"trusted.empty": b"",
}
"""What a file of the wood has besides user.*."""


@pytest.fixture
def mount() -> Iterator[Mount]:
    with mounted(Wood(5, MANY), root=small_tree()) as mount:
        yield mount


@pytest.fixture
def raw(mount: Mount) -> Raw:
    return mount.raw


@pytest.fixture
def asked(mount: Mount) -> Asked:
    return mount.asked


# Each answer is that of the handler


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_every_name_and_node_is_what_the_handlers_say(umask: int) -> None:
    with mounted(Wood(5, MANY), umask=umask) as one, mounted(Wood(5, MANY), umask=umask) as other:
        for index in range(1, MANY + 1):
            entry = one.raw.lookup(TOP, b"%d" % index)
            assert entry == other.asked.lookup(TOP, b"%d" % index)
            assert isinstance(entry, Entry)
            assert one.raw.getattr(entry.node_id) == other.asked.getattr(entry.node_id)
            assert one.raw.getattr(entry.node_id) == (FOREVER, entry.stat)
        assert one.raw.getattr(TOP) == other.asked.getattr(TOP)
        assert one.told() == other.told()


def test_what_lookup_tells(raw: Raw) -> None:
    entry = raw.lookup(TOP, b"7")
    assert isinstance(entry, Entry)
    assert (entry.node_id, entry.stat.ino, entry.generation) == (TOP | 7, TOP | 7, 0)
    assert entry.name_ttl == entry.ttl == FOREVER
    assert entry.stat.mode == stat.S_IFREG | 0o4755
    assert (entry.stat.uid, entry.stat.gid, entry.stat.nlink) == (7, 8, 2)
    assert (entry.stat.size, entry.stat.blocks) == (700, 2)
    device = raw.lookup(TOP, b"11")
    assert isinstance(device, Entry)
    assert (stat.S_IFMT(device.stat.mode), device.stat.rdev) == (stat.S_IFCHR, 0x103)


def test_the_umask_spares_symbolic_links(raw: Raw) -> None:
    link = raw.lookup(TOP, b"20")
    assert isinstance(link, Entry)
    assert link.stat.mode == stat.S_IFLNK | 0o4777


def test_every_time_is_told(raw: Raw) -> None:
    seen = set()
    for index in range(1, MANY):
        told = raw.getattr(TOP | index)
        assert isinstance(told, tuple)
        seen.add(told[1].times_ns)
    expected = [[TIMES[(first + more) % len(TIMES)] for more in range(3)] for first in range(9)]
    assert seen == {(atime, mtime, ctime) for mtime, ctime, atime in expected}


@settings(deadline=None, max_examples=60)
@given(
    time_ns=st.integers(-(1 << 63), (1 << 63) - 1),
    size=st.integers(0, (1 << 63) - 1024),
    ids=st.tuples(*[st.integers(0, (1 << 32) - 1)] * 4),
    mode=st.integers(0, 0o7777),
    kind=st.sampled_from([stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK]),
    umask=st.integers(0, 0o777),
)
def test_whatever_a_node_shows_is_told_in_the_same_way(
    time_ns: int, size: int, ids: tuple[int, ...], mode: int, kind: int, umask: int
) -> None:
    nlink, uid, gid, rdev = ids
    shown = Attr(kind | mode, size, nlink, uid, gid, rdev, time_ns, time_ns, time_ns)

    class Any(Forest):
        def attr(self, index: int) -> Attr:
            return shown

    with mounted(Any(5, MANY), umask=umask) as mount:
        assert mount.raw.getattr(TOP | 7) == mount.asked.getattr(TOP | 7)
        assert mount.raw.lookup(TOP, b"7") == mount.asked.lookup(TOP, b"7")


def test_an_absent_name_is_absent_for_ever(mount: Mount, raw: Raw, asked: Asked) -> None:
    for name in (b"absent", b"0", b"51", b"x" * NAME_MAX, b"\xff\xfe", b" "):
        assert raw.lookup(TOP, name) == asked.lookup(TOP, name) == FOREVER
    assert mount.told()["lookups_in_trees"] == 0


def test_a_name_that_is_too_long_is_refused(raw: Raw, asked: Asked) -> None:
    name = b"x" * (NAME_MAX + 1)
    assert raw.lookup(TOP, name) == asked.lookup(TOP, name) == errno.ENAMETOOLONG


def test_symbolic_links_are_read(raw: Raw, asked: Asked) -> None:
    assert raw.readlink(TOP | 20) == asked.readlink(TOP | 20) == b"20"


def test_no_other_request_counts_lookups(mount: Mount, raw: Raw) -> None:
    raw.getattr(TOP | 7)
    raw.readlink(TOP | 20)
    raw.getxattr(TOP | 7, b"user.x")
    raw.listxattr(TOP | 7)
    raw.lookup(TOP, b"absent")
    assert mount.told()["lookups_in_trees"] == 0


def test_requests_are_counted_as_the_handlers_do(mount: Mount, raw: Raw) -> None:
    with mounted(Wood(5, MANY)) as other:
        for ask in (mount.raw, other.asked):
            ask.lookup(TOP, b"7")
            ask.lookup(TOP, b"absent")
            ask.getattr(TOP)
            ask.readlink(TOP | 20)
            ask.getxattr(TOP | 7, b"security.capability")
            ask.getxattr(TOP | 7, b"security.absent")
            ask.listxattr(TOP | 7)
        mount.raw.forget((TOP | 7, 1))
        mount.raw.forget_many((TOP, 1), (TOP | 7, 2))
        at_once(other.operations.forget([(TOP | 7, 1)]))
        at_once(other.operations.forget([(TOP, 1), (TOP | 7, 2)]))
        assert mount.operations.stats()["requests"] == other.operations.stats()["requests"]


# What is not there


def test_what_a_tree_does_not_have_is_stale(raw: Raw, asked: Asked) -> None:
    for number in (TOP | MANY + 1, TOP | (1 << TREE_SHIFT) - 1):
        for ask in (raw, asked):
            assert ask.getattr(number) == errno.ESTALE
            assert ask.lookup(number, b"7") == errno.ESTALE
            assert ask.listxattr(number) == errno.ESTALE
            assert ask.getxattr(number, b"security.capability") == errno.ESTALE
            assert ask.readlink(number) == errno.ESTALE
            assert ask.open(number) == errno.ESTALE
        assert raw.readdir(number) == errno.ESTALE


@pytest.mark.parametrize(
    "number",
    [
        ROOT,
        0,
        PARENT,
        NOBODY,
        NOBODY | 7,
        (1 << TREE_SHIFT) - 1,
        FIRST_HASHED - 1,
        FIRST_HASHED,
        FIRST_HASHED | TOP,
        (1 << 64) - 1,
    ],
)
def test_what_is_of_no_tree_is_handed_on(mount: Mount, raw: Raw, number: int) -> None:
    before = mount.operations.stats()
    assert raw.lookup(number, b"7") is None
    assert raw.getattr(number) is None
    assert raw.readlink(number) is None
    assert raw.getxattr(number, b"security.capability") is None
    assert raw.listxattr(number) is None
    assert raw.open(number) is None
    assert mount.operations.stats() == before


async def test_what_is_beside_the_trees_is_handed_on(raw: Raw, mount: Mount) -> None:
    for name in (b"file", b"constant", b"link", b"place"):
        assert raw.lookup(ROOT, name) is None
        number = await ino(mount.operations, name)
        assert raw.getattr(number) is None
        assert raw.readlink(number) is None
        assert raw.listxattr(number) is None
        assert raw.open(number) is None
        assert raw.lookup(number, b"deep") is None


def test_what_is_of_another_kind_is_handed_on_for_its_errno(raw: Raw, asked: Asked) -> None:
    assert raw.lookup(TOP | 7, b"x") is None
    assert asked.lookup(TOP | 7, b"x") == errno.ENOTDIR
    assert raw.readdir(TOP | 7) == errno.ENOTDIR
    assert raw.open(TOP | 1) is None
    assert asked.open(TOP | 1) == errno.EISDIR
    assert raw.open(TOP | 20) is None
    assert asked.open(TOP | 20) == errno.ELOOP
    assert raw.readlink(TOP | 7) is None
    assert asked.readlink(TOP | 7) == errno.EINVAL


async def test_while_somebody_rewrites_names_are_handed_on(raw: Raw, mount: Mount) -> None:
    published = await ino(mount.operations, b"published")
    assert mount.asked.open(published, os.O_WRONLY) == errno.ESTALE
    assert raw.lookup(TOP, b"7") is None
    assert raw.open(TOP | PASSIVE) is None
    assert mount.told()["lookups_in_trees"] == 0
    assert isinstance(raw.getattr(TOP), tuple)  # no walk depends on it
    assert mount.asked.open(published) is not None  # of the same thread: the walk is over
    assert isinstance(raw.lookup(TOP, b"7"), Entry)
    assert raw.open(TOP | PASSIVE) is not None


# Extended attributes


@pytest.mark.parametrize(("name", "value"), [*SHOWN.items(), (b"security.absent", None)])
def test_an_extended_attribute_is_told(
    raw: Raw, asked: Asked, name: bytes, value: bytes | None
) -> None:
    expected = errno.ENODATA if value is None else value
    assert raw.getxattr(TOP | PASSIVE, name) == asked.getxattr(TOP | PASSIVE, name) == expected


@pytest.mark.parametrize("index", [0, 1, LEAF, PASSIVE, 20])
@pytest.mark.parametrize(
    "name", [b"user.shown", b"user.hidden", b"user.mine", b"user.absent", b"user.", b"other", b""]
)
def test_what_is_told_of_any_attribute_is_what_the_handlers_tell(
    raw: Raw, asked: Asked, index: int, name: bytes
) -> None:
    answer = raw.getxattr(TOP | index, name)
    assert answer in (None, asked.getxattr(TOP | index, name))
    if not name.startswith(b"user."):
        assert answer is not None


@pytest.mark.parametrize("index", [0, 1, LEAF, PASSIVE, 20])
def test_names_of_attributes_are_listed(raw: Raw, asked: Asked, index: int) -> None:
    assert raw.listxattr(TOP | index) == asked.listxattr(TOP | index)


def test_who_has_no_room_is_told_how_much_it_takes(raw: Raw) -> None:
    file, name = TOP | 12, b"security.capability"
    names = b"security.capability\0trusted.empty\0user.shown\0user.mine\0"
    assert raw.getxattr(file, name, 0) == wire.SIZE.pack(2)
    assert raw.getxattr(file, name, 1) == errno.ERANGE
    assert raw.getxattr(file, name, 2) == b"12"
    assert raw.getxattr(file, name, 3) == b"12"
    assert raw.listxattr(file, 0) == wire.SIZE.pack(len(names))
    assert raw.listxattr(file, 1) == errno.ERANGE
    assert raw.listxattr(file, len(names) - 1) == errno.ERANGE
    assert raw.listxattr(file, len(names)) == names
    assert raw.listxattr(TOP, 0) == wire.SIZE.pack(0)
    assert raw.listxattr(TOP, 1) == b""
    assert raw.getxattr(file, b"trusted.empty", 0) == wire.SIZE.pack(0)
    assert raw.getxattr(file, b"trusted.empty", 1) == b""


# Forgetting


@pytest.fixture
def clearing() -> Iterator[tuple[Mount, Clearing]]:
    """A mount whose tree is there for as long as the kernel knows of it; it does, once."""
    trees = Trees()
    clearing = Clearing(trees, MANY)
    with over(Memory({b"clearing": clearing}, ino=ROOT), trees=trees) as operations:
        at_once(operations.lookup(ROOT, b"clearing", CTX))
        at_once(operations.lookup(PARENT, b"forest", CTX))
        yield Mount(operations, Raw(operations), Asked(operations), trees), clearing


@pytest.mark.parametrize("many", [False, True])
def test_the_tree_goes_with_the_last_lookup(clearing: tuple[Mount, Clearing], many: bool) -> None:
    mount, _ = clearing
    raw, told = mount.raw, mount.told
    forget = raw.forget_many if many else raw.forget
    for _ in range(3):
        raw.lookup(TOP, b"7")
    raw.lookup(TOP, b"8")
    assert told()["lookups_in_trees"] == 5
    forget((TOP | 7, 2), (TOP, 1))
    assert told()["lookups_in_trees"] == 2
    assert isinstance(raw.getattr(TOP | 8), tuple)
    forget((TOP | 7, 1), (TOP | 8, 1))
    assert told()["lookups_in_trees"] == 0
    assert len(mount.trees) == 0
    assert raw.lookup(TOP, b"7") is None
    assert raw.listxattr(TOP | 8) is None


@pytest.mark.parametrize("many", [False, True])
def test_nodes_beside_the_trees_are_forgotten_too(many: bool) -> None:
    file = MemoryFile()
    with mounted(root=Memory({b"file": file}, ino=ROOT)) as mount:
        forget = mount.raw.forget_many if many else mount.raw.forget
        for _ in range(3):
            mount.asked.lookup(ROOT, b"file")
        forget((file.ino, 2))
        assert file.forgets == 0
        forget((file.ino, 1), (ROOT, 5))
        assert file.forgets == 1
        assert mount.told()["inodes"] == 1


def test_more_may_be_taken_back_than_was_given(clearing: tuple[Mount, Clearing]) -> None:
    mount, _ = clearing
    mount.raw.forget_many((TOP, 5), (TOP | 7, 1), (NOBODY, 3), (999, 1))
    mount.raw.forget((TOP, 5), (999, 1))
    assert mount.told()["lookups_in_trees"] == 0


def test_nothing_may_be_taken_back_at_once(mount: Mount) -> None:
    mount.raw.lookup(TOP, b"7")
    mount.raw.forget_many()
    assert mount.told()["lookups_in_trees"] == 1


def test_what_the_kernel_says_by_the_way_is_heard(raw: Raw) -> None:
    assert raw.ask(wire.NOTIFY_REPLY, 0, bytes(40)) == b""
