"""Open directories; names and attributes are in test_direct.py."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.fs import wire
from rossfs.fs.statfs import NAME_MAX
from rossfs.tree.node import Directory, Node, Row, Rows, Tree
from rossfs.tree.numbers import TREE_SHIFT
from tests.fs.asking import ROOT, small_tree
from tests.fs.forest import PARENT
from tests.fs.kernel import Listed
from tests.fs.raw import BIG, Asked, Mount, Opened, Raw, complete, mounted
from tests.fs.wood import Wood

MANY = 50
TOP = 5 << TREE_SHIFT
MODE = stat.S_IFREG | 0o644

SMALLEST = wire.DIRENTPLUS.size + 8
"""Bytes of an entry with a short name."""


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


def opened(answer: Opened | int | None) -> int:
    assert isinstance(answer, Opened)
    return answer.fh


def parts(ask: Raw | Asked, fh: int, size: int, start: int = 0) -> Iterator[list[Listed]]:
    """The replies until one is empty."""
    while True:
        entries = ask.readdir(fh, start, size)
        assert isinstance(entries, list)
        if not entries:
            return
        yield entries
        start = entries[-1].offset


def test_the_kernel_may_keep_listings(mount: Mount, raw: Raw) -> None:
    answer = raw.opendir(TOP)
    assert isinstance(answer, Opened)
    assert answer.flags == wire.KEEP_CACHE | wire.CACHE_DIR
    assert mount.told()["open_directories"] == 1


def test_dots_come_first_and_need_not_be_forgotten(mount: Mount, raw: Raw) -> None:
    for index, above in ((0, PARENT), (1, TOP)):
        entries = raw.readdir(opened(raw.opendir(TOP | index)), 0, 2 * SMALLEST)
        assert isinstance(entries, list)
        assert [(e.name, e.node_id, e.ino, e.offset, e.kind) for e in entries] == [
            (b".", 0, TOP | index, 1, 4),
            (b"..", 0, above, 2, 4),
        ]
    assert mount.told()["lookups_in_trees"] == 0


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_a_listing_is_what_the_handlers_list(umask: int) -> None:
    with mounted(Wood(5, MANY), umask=umask) as one, mounted(Wood(5, MANY), umask=umask) as other:
        for index in (0, 1):
            ours = one.raw.readdir(opened(one.raw.opendir(TOP | index)))
            theirs = other.asked.readdir(opened(other.asked.opendir(TOP | index)))
            assert complete(ours) == complete(theirs)
        assert one.operations.stats() == other.operations.stats()


class Signs(Tree):
    """A tree that is one directory, in which names are as long as it is told."""

    def __init__(self, lengths: list[int]) -> None:
        super().__init__(5)
        self.lengths = lengths

    def node(self, ino: int) -> Node:
        return Signpost(self)


class Signpost(Directory):
    remade: ClassVar[bool] = True

    def __init__(self, signs: Signs) -> None:
        super().__init__(TOP)
        self._signs = signs

    def lookup(self, name: bytes) -> Node | None:
        return None

    def entries(self) -> Rows:
        return Arms(self._signs.lengths)


class Arms(Rows):
    def __init__(self, lengths: list[int]) -> None:
        self._lengths = lengths

    def __len__(self) -> int:
        return len(self._lengths)

    def rows(self, start: int) -> Iterator[tuple[bytes, int, int, int, int, int, int, int, int]]:
        for index, length in enumerate(self._lengths[start:], start):
            yield Row(b"%d" % (index % 10) * length, TOP | index, MODE, 5, 1, 2, 3, 4, 5)


@settings(deadline=None, max_examples=100)
@given(
    lengths=st.lists(st.integers(1, NAME_MAX), max_size=40),
    size=st.integers(0, 8000),
    start=st.integers(0, 50),
)
def test_names_of_any_length_are_told(lengths: list[int], size: int, start: int) -> None:
    with mounted(Signs(lengths)) as one, mounted(Signs(lengths)) as other:
        ours = one.raw.readdir(opened(one.raw.opendir(TOP)), start, size)
        theirs = other.asked.readdir(opened(other.asked.opendir(TOP)), start, size)
        assert complete(ours) == complete(theirs)
        assert one.told() == other.told()


@settings(deadline=None, max_examples=150)
@given(
    many=st.integers(1, 60),
    size=st.integers(0, 5000) | st.sampled_from([SMALLEST, 2 * SMALLEST, BIG, BIG + 1, 1 << 20]),
    start=st.integers(0, 70) | st.integers(0, (1 << 63) - 1),
)
def test_any_reply_from_anywhere_is_that_of_the_handlers(many: int, size: int, start: int) -> None:
    with mounted(Wood(5, many)) as one, mounted(Wood(5, many)) as other:
        ours = one.raw.readdir(opened(one.raw.opendir(TOP)), start, size)
        theirs = other.asked.readdir(opened(other.asked.opendir(TOP)), start, size)
        assert complete(ours) == complete(theirs)
        assert one.operations.stats() == other.operations.stats()


@settings(deadline=None, max_examples=50)
@given(many=st.integers(1, 200), sizes=st.lists(st.integers(SMALLEST, 4000), min_size=1))
def test_nothing_is_lost_and_nothing_comes_twice(many: int, sizes: list[int]) -> None:
    with mounted(Wood(5, many)) as mount:
        fh = opened(mount.raw.opendir(TOP))
        found: list[Listed] = []
        while True:
            size = sizes[len(found) % len(sizes)]
            entries = mount.raw.readdir(fh, len(found), size)
            assert isinstance(entries, list)
            if not entries:
                break
            found += entries
        assert [e.name for e in found] == [b".", b"..", *(b"%d" % i for i in range(1, many + 1))]
        assert [e.offset for e in found] == list(range(1, many + 3))
        assert mount.told()["lookups_in_trees"] == many


def test_a_reply_is_not_longer_than_what_is_sent_at_once(mount: Mount) -> None:
    with mounted(Wood(5, 3000)) as mount:
        replies = list(parts(mount.raw, opened(mount.raw.opendir(TOP)), 1 << 20))
        assert len(replies) > 1
        assert sum(map(len, replies)) == 3002


def test_a_reply_without_room_tells_nothing(mount: Mount, raw: Raw) -> None:
    fh = opened(raw.opendir(TOP))
    for start in (0, 1, 2, 10):
        for size in (0, 1, SMALLEST - 1):
            assert raw.readdir(fh, start, size) == []
    assert mount.told()["lookups_in_trees"] == 0


@pytest.mark.parametrize("start", [MANY + 2, 1 << 40, (1 << 63) - 1])
def test_past_the_end_is_the_end(mount: Mount, raw: Raw, start: int) -> None:
    assert raw.readdir(opened(raw.opendir(TOP)), start) == []
    assert mount.told()["lookups_in_trees"] == 0


def test_an_offset_that_is_negative_is_handed_on(raw: Raw, asked: Asked) -> None:
    fh = opened(raw.opendir(TOP))
    assert raw.readdir(fh, 1 << 63) is None
    assert raw.readdir(fh, (1 << 64) - 1) is None
    assert asked.readdir(fh, -1) == errno.EINVAL


def test_handlers_go_on_where_a_listing_was_begun(raw: Raw, asked: Asked) -> None:
    fh = opened(raw.opendir(TOP))
    whole = raw.readdir(fh)
    assert isinstance(whole, list)
    part = asked.readdir(fh, 10)
    assert isinstance(part, list)
    assert part == whole[10:]


def test_an_open_directory_outlives_its_tree(mount: Mount, raw: Raw) -> None:
    fh = opened(raw.opendir(TOP))
    raw.forget((TOP, 1))
    for entries in (raw.readdir(fh), raw.readdir(fh)):
        assert isinstance(entries, list)
        assert len(entries) == MANY + 2
        raw.forget_many(*[(entry.node_id, 1) for entry in entries[2:]])
    assert raw.releasedir(fh) == b""
    assert len(mount.trees) == 0
    assert raw.opendir(TOP) is None


def test_a_directory_is_closed_once(mount: Mount, raw: Raw) -> None:
    fh = opened(raw.opendir(TOP))
    assert raw.releasedir(fh) == b""
    assert mount.told()["open_directories"] == 0
    assert raw.releasedir(fh) == errno.EBADF
    assert raw.readdir(fh) == errno.EBADF


async def test_a_directory_beside_the_trees_is_listed_by_the_handlers(mount: Mount) -> None:
    fh = opened(mount.asked.opendir(ROOT))
    before = mount.operations.stats()
    assert mount.raw.readdir(fh) is None
    assert mount.operations.stats() == before
    assert mount.raw.releasedir(fh) == b""
    assert mount.told()["open_directories"] == 0
