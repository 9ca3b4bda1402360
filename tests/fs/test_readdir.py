"""The entries of directories that change; when a listing is taken is in test_snapshots.py, those of
trees are in test_readdir_rows.py."""

from __future__ import annotations

import errno
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from pyfuse3 import FUSEError

from rossfs.fs.pages import UNKNOWN_INO
from rossfs.tree.node import FOREVER, Attr, Directory, Entry, Node
from tests.fs.listing import SMALLEST, Lister, named, reading, shown
from tests.fs.memory import Constant, Memory, MemoryFile, Names

DIRECTORY = stat.S_IFDIR >> 12


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
def lister(root: Memory) -> Iterator[Lister]:
    with closing(Lister(root, umask=0o022)) as lister:
        yield lister


def of(lister: Lister, directory: Directory, size: int = 1 << 20) -> list[bytes]:
    """The names in *directory*, without dots."""
    return [entry.name for entry in lister.list(lister.know(directory), size)[2:]]


def position(offset: int) -> int:
    """The part of an offset that does not say which snapshot it is of."""
    return offset & (1 << 32) - 1


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_every_entry_says_all_that_the_handlers_say(root: Memory, umask: int) -> None:
    with closing(Lister(root, umask=umask)) as lister:
        entries = lister.list(1)
        first = entries[0].offset - 1
        assert entries == [
            named(b".", 1, first + 1, DIRECTORY),
            named(b"..", 1, first + 2, DIRECTORY),
            *(
                shown(name, node, first + number, lister.attributes)
                for number, (name, node) in enumerate(root.children.items(), 3)
            ),
        ]


def test_the_parent_is_where_the_directory_was_found(lister: Lister, root: Memory) -> None:
    place = root.children[b"place"]
    lister.list(1)
    dot, dots = lister.list(place.ino)
    assert (dot.ino, dots.ino) == (place.ino, 1)


def test_what_is_listed_is_counted_but_not_the_dots(lister: Lister, root: Memory) -> None:
    for times in (1, 2, 3):
        lister.list(1)
        assert lister.counts() == {node.ino: times for node in root.children.values()}
    assert lister.inodes.known[1].count == 1
    assert lister.requests == {"readdir": 6}


def test_what_does_not_fit_is_not_counted(lister: Lister) -> None:
    directory = Memory({b"name %02d" % i: MemoryFile() for i in range(20)})
    first = lister.ask(lister.know(directory), size=1000)
    assert first is not None
    assert 1 <= len(first[2:]) < 20
    assert lister.counts() == {directory.ino: 1, **{entry.ino: 1 for entry in first[2:]}}


@pytest.mark.parametrize("size", [2 * SMALLEST, 700, 4096])
def test_small_replies_give_every_entry_once(lister: Lister, size: int) -> None:
    directory = Memory({b"name %03d" % i: MemoryFile() for i in range(200)})
    parts = list(lister.parts(lister.know(directory), size))
    assert len(parts) >= 202 * SMALLEST / size
    assert [entry.name for part in parts for entry in part] == [b".", b"..", *directory.children]
    offsets = [position(entry.offset) for part in parts for entry in part]
    assert offsets == list(range(1, 203))
    assert set(lister.counts().values()) == {1}


@pytest.mark.parametrize("start", range(7))
def test_any_offset_can_be_gone_back_to(lister: Lister, root: Memory, start: int) -> None:
    everything = lister.ask(1)
    assert everything is not None
    first = everything[0].offset - 1
    assert lister.ask(1, first | start or 0) == (everything[start:] or None)


@pytest.mark.parametrize("start", [5, 6, 5000, (1 << 63) - 1, 7 << 32 | 99])
def test_an_offset_past_the_end_is_the_end(lister: Lister, root: Memory, start: int) -> None:
    assert lister.ask(1, start) is None


@pytest.mark.parametrize("start", [1 << 63, (1 << 64) - 1, 1 << 63 | 5])
def test_no_directory_has_negative_offsets(lister: Lister, root: Memory, start: int) -> None:
    assert lister.readdir.answer(1, reading(start, 4096)) == errno.EINVAL
    assert len(lister.readdir) == 0


@pytest.mark.parametrize("size", [0, 1, SMALLEST - 1])
def test_who_has_no_room_for_an_entry_is_told(lister: Lister, size: int) -> None:
    """Nothing at all would be the end."""
    ino = lister.know(Memory())
    entries = lister.ask(1)
    assert entries is not None
    for number, start in ((ino, 0), (ino, 1), (1, 0), (1, 1), (1, entries[1].offset)):
        with pytest.raises(FUSEError) as refused:
            lister.ask(number, start, size)
        assert refused.value.errno == errno.EINVAL
    assert set(lister.counts().values()) == {1}


def test_names_only_are_not_counted(lister: Lister) -> None:
    names = Names(1000)
    entries = lister.list(lister.know(names), size=4096)
    first = entries[0].offset - 1
    assert entries[2:] == [
        named(b"%08d" % i, 1 << 40 | i, first + i + 3, stat.S_IFREG >> 12) for i in range(1000)
    ]
    assert lister.counts() == {names.ino: 1}


class Listing(Memory):
    """A directory with a listing of its own."""

    __slots__ = ("listing",)

    def __init__(self, listing: Sequence[Entry | None]) -> None:
        super().__init__()
        self.listing = listing

    def entries(self) -> Sequence[Entry | None]:
        return self.listing


def test_a_name_without_a_node_has_the_type_and_the_number_that_are_known(lister: Lister) -> None:
    directory = Listing([Entry(b"d", None, stat.S_IFDIR, 8), Entry(b"unnumbered", None)])
    _, _, *entries = lister.list(lister.know(directory))
    assert [(e.ino, e.kind) for e in entries] == [(8, DIRECTORY), (UNKNOWN_INO, 8)]


def test_what_is_gone_since_the_snapshot_is_left_out(lister: Lister) -> None:
    one, two = MemoryFile(), MemoryFile()
    directory = Listing([None, Entry(b"one", one), None, Entry(b"two", two), None])
    _, _, *entries = lister.list(lister.know(directory))
    assert [(e.name, position(e.offset)) for e in entries] == [(b"one", 4), (b"two", 6)]


def test_a_listing_of_what_is_all_gone_ends(lister: Lister) -> None:
    ino = lister.know(Listing([None] * 50))
    assert len(lister.list(ino)) == 2
    assert len(lister.list(ino, size=2 * SMALLEST)) == 2


@pytest.mark.parametrize("bad", [Entry(b"x" * 1200, None), Entry(b"x", None, ino=1 << 64)])
def test_what_cannot_be_packed_hides_nothing_before_it(lister: Lister, bad: Entry) -> None:
    """What was counted must be sent; who asks for the rest is told."""
    ino = lister.know(Listing([Entry(b"a", MemoryFile()), bad, Entry(b"b", MemoryFile())]))
    first = lister.ask(ino)
    assert first is not None
    assert [entry.name for entry in first] == [b".", b"..", b"a"]
    with pytest.raises((IndexError, struct.error)):
        lister.ask(ino, first[-1].offset)
    rest = lister.ask(ino, first[-1].offset + 1)
    assert rest is not None
    assert [entry.name for entry in rest] == [b"b"]
    assert lister.counts() == {ino: 1, first[-1].ino: 1, rest[0].ino: 1}


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
    assert of(lister, directory) == [b"a", b"b"]


def test_a_node_that_fails_shows_its_name_and_hides_nothing(lister: Lister) -> None:
    bad = Failing(OSError(errno.EIO, "bad disk"))
    directory = Memory({b"a": MemoryFile(), b"bad": bad, b"b": MemoryFile()})
    _, _, a, listed, b = lister.list(lister.know(directory))
    assert (a.name, b.name) == (b"a", b"b")
    assert (listed.name, listed.node_id, listed.kind, listed.ino) == (b"bad", 0, 0, UNKNOWN_INO)
    assert bad.ino not in lister.counts()


@pytest.mark.expects_warnings
def test_a_bug_in_a_node_is_logged_and_hides_nothing(
    lister: Lister, caplog: pytest.LogCaptureFixture
) -> None:
    directory = Memory({b"bug": Failing(KeyError("bug")), b"b": MemoryFile()})
    assert of(lister, directory) == [b"bug", b"b"]
    assert caplog.records[0].exc_info


@pytest.mark.expects_warnings
def test_two_places_of_one_number_do_not_hide_each_other(lister: Lister) -> None:
    nodes: dict[bytes, Node] = {b"a": MemoryFile(ino=70), b"b": Memory(ino=70)}
    _, _, a, b = lister.list(lister.know(Memory(nodes)))
    assert (a.node_id, b.node_id) == (70, 0)


def test_long_names_fit(lister: Lister) -> None:
    directory = Memory({b"x" * 255: Constant(), b"\xff\n": Constant()})
    _, _, *listed = lister.list(lister.know(directory), size=4096)
    assert [entry.name for entry in listed] == [b"x" * 255, b"\xff\n"]
    assert {entry.ttl for entry in listed} == {FOREVER}
