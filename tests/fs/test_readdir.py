from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Sequence

import pytest
from pyfuse3 import FUSEError

from rossfs.fs.attributes import UNKNOWN_INO, Attributes, NamesOnly
from rossfs.fs.inodes import Inodes
from rossfs.fs.readdir import OpenDirectory, Readdir
from rossfs.tree.node import FOREVER, Attr, Directory, Entry, Node
from tests.fs.kernel import Listed, reply
from tests.fs.memory import Constant, Memory, MemoryFile, Names

ROOM = 1 << 20


class Lister:
    """Reads a directory as the kernel does, reply by reply."""

    def __init__(self, root: Memory, names_only: bool = True) -> None:
        self.inodes = Inodes(root, Attributes(0, 0))
        self.readdir = Readdir(self.inodes, NamesOnly.possible() if names_only else None)

    def replies(
        self, directory: Directory, size: int = ROOM, start: int = 0
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

    def list(self, directory: Directory, size: int = ROOM, start: int = 0) -> list[Listed]:
        return [entry for part in self.replies(directory, size, start) for entry in part]


@pytest.fixture
def root() -> Memory:
    return Memory(
        {
            b"file": MemoryFile(b"12345"),
            b"constant": Constant(b"1"),
            b"place": Memory(),
        },
        ino=1,
    )


@pytest.fixture
def lister(root: Memory) -> Lister:
    return Lister(root)


def counts(inodes: Inodes) -> dict[int, int]:
    return {ino: known.count for ino, known in inodes.known.items() if ino != 1}


def test_dots_come_first(lister: Lister, root: Memory) -> None:
    dot, dots, *_ = lister.list(root)
    assert (dot.name, dot.ino, dot.kind) == (b".", 1, stat.S_IFDIR >> 12)
    assert (dots.name, dots.ino, dots.kind) == (b"..", 1, stat.S_IFDIR >> 12)


def test_the_parent_is_where_the_directory_was_found(lister: Lister, root: Memory) -> None:
    place = root.children[b"place"]
    assert isinstance(place, Directory)
    lister.list(root)
    dot, dots = lister.list(place)
    assert (dot.ino, dots.ino) == (place.ino, 1)


def test_every_entry_has_all_attributes(lister: Lister, root: Memory) -> None:
    listed = {entry.name: entry for entry in lister.list(root)}
    assert set(listed) == {b".", b"..", *root.children}
    for name, node in root.children.items():
        entry = listed[name]
        assert entry.node_id == entry.ino == node.ino
        assert entry.kind == node.attr().mode >> 12
        assert (entry.mode, entry.size) == (node.attr().mode, node.attr().size)
        assert entry.ttl == node.ttl


def test_what_is_listed_is_counted_but_not_the_dots(lister: Lister, root: Memory) -> None:
    for times in (1, 2, 3):
        lister.list(root)
        assert counts(lister.inodes) == {node.ino: times for node in root.children.values()}
    assert lister.inodes.known[1].count == 1


def test_what_does_not_fit_is_not_counted(lister: Lister) -> None:
    directory = Memory({b"name %02d" % i: MemoryFile() for i in range(20)})
    first = next(lister.replies(directory, size=1000))
    names = [entry for entry in first if entry.name not in (b".", b"..")]
    assert 1 <= len(names) < 20
    assert counts(lister.inodes) == {entry.ino: 1 for entry in names}


def test_small_replies_give_every_entry_once(lister: Lister) -> None:
    directory = Memory({b"name %03d" % i: MemoryFile() for i in range(200)})
    replies = list(lister.replies(directory, size=700))
    names = [entry.name for entries in replies for entry in entries]
    assert len(replies) > 30
    assert names == [b".", b"..", *directory.children]
    assert set(counts(lister.inodes).values()) == {1}


@pytest.mark.parametrize("start", range(7))
def test_any_offset_can_be_gone_back_to(lister: Lister, root: Memory, start: int) -> None:
    everything = [entry.name for entry in lister.list(root)]
    assert [entry.name for entry in lister.list(root, start=start)] == everything[start:]


def test_an_offset_past_the_end_is_the_end(lister: Lister, root: Memory) -> None:
    assert lister.list(root, start=5000) == []


def test_no_directory_has_negative_offsets(lister: Lister, root: Memory) -> None:
    with pytest.raises(FUSEError) as refused:
        lister.list(root, start=-1)
    assert refused.value.errno == errno.EINVAL


def test_names_only_are_not_counted(lister: Lister) -> None:
    _, _, *listed = lister.list(Names(1000), size=4096)
    assert [entry.name for entry in listed] == [b"%08d" % i for i in range(1000)]
    assert {entry.node_id for entry in listed} == {0}
    assert [entry.ino for entry in listed] == [1 << 40 | i for i in range(1000)]
    assert counts(lister.inodes) == {}


def test_without_names_only_nodes_are_made(root: Memory) -> None:
    lister = Lister(root, names_only=False)
    _, _, *listed = lister.list(Names(50))
    assert [entry.node_id for entry in listed] == [1 << 40 | i for i in range(50)]
    assert len(counts(lister.inodes)) == 50


class Listing(Memory):
    """A directory with a listing of its own."""

    __slots__ = ("listing",)

    def __init__(self, listing: Sequence[Entry | None]) -> None:
        super().__init__()
        self.listing = listing

    def entries(self) -> Sequence[Entry | None]:
        return self.listing


def test_what_is_gone_since_the_snapshot_is_left_out(lister: Lister) -> None:
    one, two = MemoryFile(), MemoryFile()
    directory = Listing([None, Entry(b"one", one), None, Entry(b"two", two), None])
    _, _, *listed = lister.list(directory)
    assert [(entry.name, entry.offset) for entry in listed] == [(b"one", 4), (b"two", 6)]


class Failing(MemoryFile):
    """A file that cannot say what it is."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def attr(self) -> Attr:
        raise self.error


def test_a_node_that_went_away_is_left_out(lister: Lister) -> None:
    gone = Failing(FileNotFoundError(errno.ENOENT, "gone"))
    directory = Memory({b"a": MemoryFile(), b"gone": gone, b"b": MemoryFile()})
    assert [entry.name for entry in lister.list(directory)][2:] == [b"a", b"b"]


def test_a_node_that_fails_shows_its_name_and_hides_nothing(lister: Lister) -> None:
    bad = Failing(OSError(errno.EIO, "bad disk"))
    directory = Memory({b"a": MemoryFile(), b"bad": bad, b"b": MemoryFile()})
    _, _, a, listed, b = lister.list(directory)
    assert (a.name, b.name) == (b"a", b"b")
    assert (listed.name, listed.node_id, listed.kind, listed.ino) == (b"bad", 0, 0, UNKNOWN_INO)
    assert bad.ino not in counts(lister.inodes)


@pytest.mark.expects_warnings
def test_a_bug_in_a_node_is_logged_and_hides_nothing(
    lister: Lister, caplog: pytest.LogCaptureFixture
) -> None:
    directory = Memory({b"bug": Failing(KeyError("bug")), b"b": MemoryFile()})
    assert [entry.name for entry in lister.list(directory)][2:] == [b"bug", b"b"]
    assert caplog.records[0].exc_info


@pytest.mark.expects_warnings
def test_two_places_of_one_number_do_not_hide_each_other(lister: Lister) -> None:
    nodes: dict[bytes, Node] = {b"a": MemoryFile(ino=70), b"b": Memory(ino=70)}
    _, _, a, b = lister.list(Memory(nodes))
    assert (a.node_id, b.node_id) == (70, 0)


def test_long_names_fit(lister: Lister) -> None:
    directory = Memory({b"x" * 255: Constant(), b"\xff\n": Constant()})
    _, _, *listed = lister.list(directory, size=4096)
    assert [entry.name for entry in listed] == [b"x" * 255, b"\xff\n"]
    assert {entry.ttl for entry in listed} == {FOREVER}
