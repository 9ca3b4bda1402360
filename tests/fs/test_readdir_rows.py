"""The entries of trees, straight from their rows."""

from __future__ import annotations

import errno
import stat
import struct
from collections.abc import Iterator
from contextlib import closing
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyfuse3 import FUSEError

from rossfs.fs.readdir import END
from rossfs.fs.statfs import NAME_MAX
from rossfs.tree.node import Directory, Node, Row, Rows, Tree
from rossfs.tree.numbers import TREE_SHIFT
from rossfs.tree.trees import Trees
from tests.fs.forest import PARENT, Forest
from tests.fs.listing import BIG, SMALLEST, Listed, Lister, named, reading, shown
from tests.fs.wood import Wood

MANY = 500
TOP = 5 << TREE_SHIFT
MODE = stat.S_IFREG | 0o644
DIRECTORY = stat.S_IFDIR >> 12


def over(*trees: Tree, umask: int = 0) -> Lister:
    """Lists *trees*, which are there until the kernel forgets them."""
    held = Trees()
    for tree in trees:
        held.hold(tree)
    return Lister(trees=held, umask=umask)


@pytest.fixture
def lister(forest: Forest) -> Iterator[Lister]:
    with closing(over(forest)) as lister:
        yield lister


@pytest.fixture
def forest() -> Forest:
    return Forest(5, MANY)


def expected(lister: Lister, forest: Forest, above: int = PARENT) -> list[Listed]:
    """All that the directory of a forest has, as the nodes say it; there is one time of each."""
    entries = [named(b".", forest.ino(0), 1, DIRECTORY), named(b"..", above, 2, DIRECTORY)]
    for index in range(1, forest.many + 1):
        entry = shown(b"%d" % index, forest.node(forest.ino(index)), index + 2, lister.attributes)
        times = (entry.stat.times_ns[1],) * 3
        entries.append(entry._replace(stat=entry.stat._replace(times_ns=times)))
    return entries


@pytest.mark.parametrize("kind", [Forest, Wood])
@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_a_listing_says_what_the_nodes_say(kind: type[Forest], umask: int) -> None:
    forest = kind(5, MANY)
    with closing(over(forest, umask=umask)) as lister:
        assert lister.list(TOP) == expected(lister, forest)
        assert lister.requests == {"readdir": 2}
        assert lister.inodes.lookups == {5: MANY}


def test_dots_need_not_be_forgotten(lister: Lister, forest: Forest) -> None:
    assert lister.list(TOP | 1) == [
        named(b".", TOP | 1, 1, DIRECTORY),
        named(b"..", TOP, 2, DIRECTORY),
    ]
    assert lister.inodes.lookups == {}


def test_the_umask_spares_symbolic_links_and_special_bits() -> None:
    with closing(over(Forest(5, 20), umask=0o027)) as lister:
        _, _, *entries = lister.list(TOP)
    modes = {entry.kind << 12: entry.stat.mode for entry in entries}
    assert {kind: stat.S_IMODE(mode) for kind, mode in modes.items()} == {
        stat.S_IFDIR: 0o4750,
        stat.S_IFREG: 0o4750,
        stat.S_IFCHR: 0o4750,
        stat.S_IFLNK: 0o4777,
    }


@pytest.mark.parametrize("size", [SMALLEST, 400, 700, 4096, 65536])
def test_small_replies_give_every_entry_once(lister: Lister, forest: Forest, size: int) -> None:
    assert lister.list(TOP, size) == expected(lister, forest)
    assert lister.inodes.lookups == {5: MANY}


@settings(deadline=None, max_examples=50)
@given(many=st.integers(1, 200), sizes=st.lists(st.integers(SMALLEST, 4000), min_size=1))
def test_nothing_is_lost_and_nothing_comes_twice(many: int, sizes: list[int]) -> None:
    forest = Forest(5, many)
    with closing(over(forest)) as lister:
        found: list[Listed] = []
        while entries := lister.ask(TOP, len(found), sizes[len(found) % len(sizes)]):
            found += entries
        assert entries == []
        assert found == expected(lister, forest)
        assert lister.inodes.lookups == {5: many}


@settings(deadline=None, max_examples=100)
@given(
    many=st.integers(1, 60),
    size=st.integers(SMALLEST, 5000) | st.sampled_from([2 * SMALLEST, BIG, BIG + 1, 1 << 20]),
    start=st.integers(0, 70) | st.integers(0, (1 << 63) - 1),
)
def test_any_reply_from_anywhere_is_as_much_as_fits(many: int, size: int, start: int) -> None:
    forest = Forest(5, many)
    with closing(over(forest)) as lister:
        entries = lister.ask(TOP, start, size)
        assert entries == expected(lister, forest)[start:][: min(size, BIG) // SMALLEST]
        assert sum(lister.inodes.lookups.values()) == sum(1 for e in entries if e.node_id)


class Signs(Tree):
    """A tree that is one directory, with these rows."""

    def __init__(self, rows: list[Row]) -> None:
        super().__init__(5)
        self.rows = rows

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
        return Arms(self._signs.rows)


class Arms(Rows):
    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, start: int) -> Iterator[Row]:
        return iter(self._rows[start:])


def sign(index: int, length: int = 1) -> Row:
    """A row with a name of *length* bytes."""
    return Row(b"%d" % (index % 10) * length, TOP | index, MODE, 5, 1, 2, 3, 4, 5)


@settings(deadline=None, max_examples=100)
@given(
    lengths=st.lists(st.integers(1, NAME_MAX), max_size=40),
    size=st.integers(4096, 8000),
    start=st.integers(0, 50),
)
def test_names_of_any_length_are_told(lengths: list[int], size: int, start: int) -> None:
    signs = Signs([sign(index, length) for index, length in enumerate(lengths)])
    with closing(over(signs)) as lister:
        sizes = [SMALLEST] * 2 + [SMALLEST + (length - 1) // 8 * 8 for length in lengths]
        entries = lister.ask(TOP, start, size)
        assert entries is not None
        stop = start + len(entries)
        assert sum(sizes[start:stop]) <= size < sum(sizes[start : stop + 1]) or stop >= len(sizes)
        assert [e.offset for e in entries] == list(range(start + 1, stop + 1))
        assert [e.name for e in entries] == [b".", b"..", *(r.name for r in signs.rows)][start:stop]


@pytest.mark.parametrize(
    "bad",
    [
        sign(7)._replace(size=-1),
        sign(7)._replace(size=1 << 64),
        sign(7)._replace(mode=-1),
        sign(7)._replace(uid=1 << 32),
        sign(7)._replace(rdev=1 << 40),
        sign(7)._replace(mtime_ns=1 << 100),
    ],
)
def test_what_cannot_be_packed_fails_that_request_only(bad: Row) -> None:
    rows = [sign(index) for index in range(40)]
    with closing(over(Signs([*rows[:20], bad, *rows[20:]]))) as lister:
        for _ in range(2):
            with pytest.raises(struct.error):
                lister.ask(TOP)
            assert lister.inodes.lookups == {}
            before = lister.ask(TOP, size=22 * SMALLEST)
            assert before is not None
            assert [entry.ino for entry in before[2:]] == [TOP | index for index in range(20)]
            while lister.readdir.ahead.step():
                pass
            with pytest.raises(struct.error):
                lister.ask(TOP, 22)
            after = lister.ask(TOP, 23)
            assert after is not None
            assert [entry.ino for entry in after] == [TOP | index for index in range(20, 40)]
            assert lister.inodes.lookups == {5: 40}
            lister.inodes.lookups.clear()


def test_a_reply_is_not_longer_than_what_is_sent_at_once() -> None:
    with closing(over(Forest(5, 3000))) as lister:
        parts = list(lister.parts(TOP, 1 << 20))
        assert len(parts) > 1
        assert sum(map(len, parts)) == 3002


@pytest.mark.parametrize("size", [0, 1, SMALLEST - 1])
def test_who_has_no_room_for_an_entry_is_told(lister: Lister, size: int) -> None:
    """Nothing at all would be the end, which the kernel keeps."""
    for number, start in ((TOP, 0), (TOP, 1), (TOP, 2), (TOP, 10), (TOP | 1, 0), (TOP | 1, 1)):
        with pytest.raises(FUSEError) as refused:
            lister.ask(number, start, size)
        assert refused.value.errno == errno.EINVAL
    assert lister.inodes.lookups == {}


@pytest.mark.parametrize("start", [0, 1, 2, 3, 17, MANY, MANY + 1])
def test_any_offset_can_be_gone_back_to(lister: Lister, start: int) -> None:
    everything = lister.list(TOP)
    assert lister.list(TOP, start=start) == everything[start:]


@pytest.mark.parametrize("start", [MANY + 2, MANY + 3, 1 << 40, (1 << 63) - 1])
def test_the_end_is_one_that_the_kernel_may_keep(lister: Lister, start: int) -> None:
    assert lister.bytes(TOP, start) == END
    lister.list(TOP)
    assert lister.bytes(TOP, start) == END
    assert lister.inodes.lookups == {5: MANY}


@pytest.mark.parametrize("start", [1 << 63, (1 << 64) - 1])
def test_no_directory_has_negative_offsets(lister: Lister, start: int) -> None:
    assert lister.readdir.answer(TOP, reading(start, 4096)) == errno.EINVAL


def test_no_node_is_made_for_a_listing_but_the_directory(lister: Lister, forest: Forest) -> None:
    before = forest.made
    assert lister.readdir.answer(TOP, reading(0, BIG))
    assert forest.made == before + 1
    assert len(lister.inodes) == 1
    assert len(lister.readdir) == 0


def test_what_is_no_directory_has_no_listing(lister: Lister) -> None:
    with pytest.raises(FUSEError) as refused:
        lister.ask(TOP | 7)
    assert refused.value.errno == errno.ENOTDIR
    with pytest.raises(OSError, match="no tree"):
        lister.ask(TOP | MANY + 1)
    with pytest.raises(FUSEError) as refused:
        lister.ask(6 << TREE_SHIFT)
    assert refused.value.errno == errno.ESTALE


def test_every_listing_counts_until_all_is_taken_back() -> None:
    lister = over(Forest(5, MANY))
    for _ in range(3):
        first, *rest = [entry.ino for entry in lister.list(TOP)[2:]]
    assert lister.inodes.lookups == {5: 3 * MANY}
    lister.inodes.forget([(ino, 2) for ino in (first, *rest)])
    assert lister.inodes.trees.get(5) is not None
    lister.inodes.forget([(ino, 1) for ino in rest])
    assert lister.inodes.lookups == {5: 1}
    assert lister.inodes.trees.get(5) is not None
    lister.inodes.forget([(first, 1)])
    assert lister.inodes.lookups == {}
    assert lister.inodes.trees.get(5) is None
    with pytest.raises(FUSEError) as refused:
        lister.ask(TOP, MANY + 2)  # the end of what was listed last
    assert refused.value.errno == errno.ESTALE
    lister.close()


def test_two_trees_are_counted_by_themselves() -> None:
    one, other = Forest(5, 10), Forest(6, 20)
    with closing(over(one, other)) as lister:
        lister.list(one.ino(0))
        lister.list(other.ino(0))
        assert lister.inodes.lookups == {5: 10, 6: 20}
        lister.inodes.forget([(one.ino(index), 1) for index in range(1, 11)])
        assert lister.inodes.lookups == {6: 20}
