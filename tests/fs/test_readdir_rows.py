from __future__ import annotations

import stat
from collections.abc import Iterator

import pytest

from rossfs.fs.attributes import Attributes, NamesOnly
from rossfs.fs.inodes import Inodes
from rossfs.fs.readdir import OpenDirectory, Readdir
from rossfs.tree.node import FOREVER
from rossfs.tree.trees import Trees
from tests.fs.forest import PARENT, Forest, Grove
from tests.fs.kernel import Listed, reply
from tests.fs.memory import Memory

MANY = 500


class Lister:
    """Reads a directory of rows as the kernel does, reply by reply."""

    def __init__(self, umask: int = 0) -> None:
        self.trees = Trees()
        self.attributes = Attributes(3, 4, umask)
        self.inodes = Inodes(Memory(ino=1), self.attributes, trees=self.trees)
        self.readdir = Readdir(self.inodes, NamesOnly.possible(), umask)

    def replies(
        self, directory: Grove, size: int = 1 << 20, start: int = 0
    ) -> Iterator[list[Listed]]:
        opened = OpenDirectory(directory)
        opened.listing = directory.entries()
        while True:
            with reply(size) as kernel:
                self.readdir.fill(opened, start, kernel.token)
                entries = list(kernel)
            if not entries:
                return
            start = entries[-1].offset
            yield entries

    def list(self, directory: Grove, size: int = 1 << 20, start: int = 0) -> list[Listed]:
        return [entry for part in self.replies(directory, size, start) for entry in part]


@pytest.fixture
def lister() -> Lister:
    return Lister()


@pytest.fixture
def forest(lister: Lister) -> Forest:
    made = Forest(5, MANY)
    lister.trees.hold(made)
    return made


def test_dots_come_first_and_are_not_counted(lister: Lister, forest: Forest) -> None:
    dot, dots = lister.list(Grove(forest, 1))
    assert [(entry.name, entry.ino, entry.kind) for entry in (dot, dots)] == [
        (b".", forest.ino(1), stat.S_IFDIR >> 12),
        (b"..", forest.ino(0), stat.S_IFDIR >> 12),
    ]
    assert lister.inodes.lookups == {}
    assert lister.list(Grove(forest))[1].ino == PARENT


def test_every_entry_has_all_attributes_of_the_node(lister: Lister, forest: Forest) -> None:
    _, _, *listed = lister.list(Grove(forest))
    assert [entry.name for entry in listed] == [b"%d" % index for index in range(1, MANY + 1)]
    for index, entry in enumerate(listed, 1):
        mode, size, nlink, uid, gid, rdev, time_ns, _, _ = forest.attr(index)
        assert entry == Listed(
            b"%d" % index,
            forest.ino(index),
            forest.ino(index),
            index + 2,
            mode >> 12,
            size,
            mode,
            FOREVER,
            nlink,
            uid or 0,
            gid or 0,
            rdev,
            -(-size // 512),
            (time_ns, time_ns, time_ns),
        )


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_a_listing_says_what_getattr_says(umask: int) -> None:
    lister = Lister(umask)
    forest = Forest(5, 40)
    _, _, *listed = lister.list(Grove(forest))
    for entry in listed:
        node = forest.node(entry.ino)
        answer = lister.attributes.build(node, node.attr())
        assert (
            answer.st_mode,
            answer.st_size,
            answer.st_blocks,
            answer.st_nlink,
            answer.st_uid,
            answer.st_gid,
            answer.st_rdev,
            (answer.st_atime_ns, answer.st_mtime_ns, answer.st_ctime_ns),
            answer.attr_timeout,
            answer.entry_timeout,
        ) == (
            entry.mode,
            entry.size,
            entry.blocks,
            entry.nlink,
            entry.uid,
            entry.gid,
            entry.rdev,
            entry.times_ns,
            FOREVER,
            entry.ttl,
        )


def test_the_umask_spares_symbolic_links_and_special_bits() -> None:
    forest = Forest(5, 20)
    _, _, *listed = Lister(0o027).list(Grove(forest))
    modes = {entry.kind << 12: entry.mode for entry in listed}
    assert {kind: stat.S_IMODE(mode) for kind, mode in modes.items()} == {
        stat.S_IFDIR: 0o4750,
        stat.S_IFREG: 0o4750,
        stat.S_IFCHR: 0o4750,
        stat.S_IFLNK: 0o4777,
    }


@pytest.mark.parametrize("size", [400, 700, 4096, 65536])
def test_small_replies_give_every_entry_once(lister: Lister, forest: Forest, size: int) -> None:
    replies = list(lister.replies(Grove(forest), size))
    names = [entry.name for entries in replies for entry in entries]
    assert names == [b".", b"..", *(b"%d" % index for index in range(1, MANY + 1))]
    offsets = [entry.offset for entries in replies for entry in entries]
    assert offsets == list(range(1, MANY + 3))
    assert lister.inodes.lookups == {5: MANY}


@pytest.mark.parametrize("start", [0, 1, 2, 3, 17, MANY, MANY + 1])
def test_any_offset_can_be_gone_back_to(lister: Lister, forest: Forest, start: int) -> None:
    everything = lister.list(Grove(forest))
    assert lister.list(Grove(forest), start=start) == everything[start:]


@pytest.mark.parametrize("start", [MANY + 2, MANY + 3, 1 << 40, (1 << 63) - 1])
def test_an_offset_past_the_end_is_the_end(lister: Lister, forest: Forest, start: int) -> None:
    assert lister.list(Grove(forest), start=start) == []
    assert lister.inodes.lookups == {}


def test_what_does_not_fit_is_not_counted(lister: Lister, forest: Forest) -> None:
    first = next(lister.replies(Grove(forest), 2000))
    assert 3 <= len(first) < 20
    assert lister.inodes.lookups == {5: len(first) - 2}


def test_no_node_is_made_for_a_listing(lister: Lister, forest: Forest) -> None:
    lister.list(Grove(forest))
    assert forest.made == 0
    assert len(lister.inodes) == 1


def test_every_listing_counts_until_all_is_taken_back(lister: Lister) -> None:
    def list_once() -> list[int]:
        forest = lister.trees.get(5)
        assert isinstance(forest, Forest)
        return [entry.ino for entry in lister.list(Grove(forest))[2:]]

    lister.trees.hold(Forest(5, MANY))
    for _ in range(3):
        first, *rest = list_once()
    assert lister.inodes.lookups == {5: 3 * MANY}
    lister.inodes.forget([(ino, 2) for ino in (first, *rest)])
    assert lister.trees.get(5) is not None
    lister.inodes.forget([(ino, 1) for ino in rest])
    assert lister.inodes.lookups == {5: 1}
    assert lister.trees.get(5) is not None
    lister.inodes.forget([(first, 1)])
    assert lister.inodes.lookups == {}
    assert lister.trees.get(5) is None


def test_two_trees_are_counted_by_themselves(lister: Lister) -> None:
    one, other = Forest(5, 10), Forest(6, 20)
    for forest in (one, other):
        lister.trees.hold(forest)
        lister.list(Grove(forest))
    assert lister.inodes.lookups == {5: 10, 6: 20}
    lister.inodes.forget([(one.ino(index), 1) for index in range(1, 11)])
    assert lister.inodes.lookups == {6: 20}
