"""When a listing of a directory that changes is taken, and how long it is kept."""

from __future__ import annotations

import errno
from collections.abc import Coroutine, Iterator
from contextlib import closing

import pytest
import trio
from trio.testing import assert_checkpoints

from rossfs.fs import readdir
from rossfs.fs.settling import ROUNDS
from rossfs.tree.node import Listing
from tests.fs.listing import BIG, SMALLEST, Listed, Lister, listed, reading
from tests.fs.memory import Late, Memory, MemoryFile, Names

FEW = 2 * SMALLEST
"""Room for two entries."""


@pytest.fixture
def place() -> Memory:
    return Memory({b"%d" % number: MemoryFile() for number in range(10)})


@pytest.fixture
def lister(place: Memory) -> Iterator[Lister]:
    with closing(Lister()) as lister:
        lister.know(place)
        yield lister


def names(entries: list[Listed] | None) -> list[bytes]:
    assert entries is not None
    return [entry.name for entry in entries]


def begun(lister: Lister, ino: int, size: int = FEW) -> int:
    """The offset after the first reply."""
    entries = lister.ask(ino, 0, size)
    assert entries is not None
    return entries[-1].offset


def test_the_offset_names_the_snapshot(lister: Lister, place: Memory) -> None:
    offset = begun(lister, place.ino)
    del place.children[b"0"]
    del place.children[b"5"]
    place.children[b"new"] = MemoryFile()
    other = begun(lister, place.ino)
    assert other >> 32 != offset >> 32
    assert names(lister.list(place.ino, start=offset)) == [b"%d" % i for i in range(10)]
    now = [b"1", b"2", b"3", b"4", b"6", b"7", b"8", b"9", b"new"]
    assert names(lister.list(place.ino, start=other)) == now
    assert names(lister.list(place.ino)) == [b".", b"..", *now]


def test_rewinding_takes_a_new_one(lister: Lister, place: Memory) -> None:
    begun(lister, place.ino)
    place.children.clear()
    assert names(lister.list(place.ino)) == [b".", b".."]


def test_an_entry_keeps_its_offset_while_others_come_and_go(lister: Lister, place: Memory) -> None:
    offset = begun(lister, place.ino, 5 * SMALLEST)
    for name in list(place.children)[:8]:
        del place.children[name]
    place.children[b"more"] = MemoryFile()
    assert names(lister.ask(place.ino, offset - 2, FEW)) == [b"1", b"2"]
    assert names(lister.ask(place.ino, offset + 5, FEW)) == [b"8", b"9"]
    assert lister.ask(place.ino, offset + 7) is None


def test_one_that_nobody_knows_goes_on_at_its_position(lister: Lister, place: Memory) -> None:
    for unknown in 7 << 32, (1 << 31) - 1 << 32, 0:
        entries = lister.ask(place.ino, unknown | 4, FEW)
        assert names(entries) == [b"2", b"3"]
        assert names(lister.list(place.ino, start=begun(lister, place.ino))) == [
            b"%d" % i for i in range(10)
        ]


def test_an_offset_of_another_directory_is_not_believed(lister: Lister, place: Memory) -> None:
    other = Memory({b"other %d" % number: MemoryFile() for number in range(10)})
    lister.know(other)
    offset = begun(lister, place.ino)
    assert names(lister.ask(other.ino, offset, FEW)) == [b"other 0", b"other 1"]
    assert names(lister.ask(place.ino, offset, FEW)) == [b"0", b"1"]


def test_the_end_gives_memory_back(lister: Lister, place: Memory) -> None:
    for size in (FEW, 4096, BIG):
        lister.list(place.ino, size)
        assert len(lister.readdir) == 0
        assert lister.readdir._names == 0
    begun(lister, place.ino)
    assert len(lister.readdir) == 1
    assert lister.readdir._names == 10


def test_the_end_can_be_asked_for_again(lister: Lister, place: Memory) -> None:
    end = lister.list(place.ino)[-1].offset
    place.children[b"new"] = MemoryFile()
    assert lister.ask(place.ino, end) is None
    assert lister.ask(place.ino, end) is None


def test_one_can_go_back_from_the_end(lister: Lister, place: Memory) -> None:
    """seekdir(3): a position is good until the directory is closed or rewound."""
    fifth = lister.list(place.ino)[6].offset
    del place.children[b"2"]
    del place.children[b"7"]
    assert names(lister.list(place.ino, start=fifth)) == [b"5", b"6", b"7", b"8", b"9"]
    for _ in range(readdir.ENDED):
        lister.list(place.ino)
    assert len(lister.readdir) == lister.readdir._names == 0
    assert len(lister.readdir._ended) == readdir.ENDED
    assert names(lister.list(place.ino, start=fifth)) == [b"6", b"8", b"9"]


def test_large_ones_are_not_kept_after_their_end(
    lister: Lister, place: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readdir, "SMALL", 9)
    end = lister.list(place.ino)[-1].offset
    assert lister.readdir._ended == {}
    place.children[b"new"] = MemoryFile()
    assert names(lister.ask(place.ino, end)) == [b"new"]


def test_those_that_nobody_reads_go(
    lister: Lister, place: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readdir, "SNAPSHOTS", 5)
    reader = begun(lister, place.ino)
    left = [begun(lister, place.ino) for _ in range(4)]
    for _ in range(20):
        assert names(lister.ask(place.ino, reader, FEW)) == [b"0", b"1"]
        left.append(begun(lister, place.ino))
        assert len(lister.readdir) == 5
        assert lister.readdir._names == 50
    place.children.clear()
    assert len(lister.list(place.ino, start=reader)) == 10
    assert lister.ask(place.ino, left[0]) is None
    assert len(lister.list(place.ino, start=left[-1])) == 10


def test_many_names_are_kept_once(lister: Lister, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readdir, "NAMES", 1000)
    small, large = Names(300), Names(5000)
    for directory in (small, large):
        lister.know(directory)
    for _ in range(5):
        begun(lister, small.ino)
    assert (len(lister.readdir), lister.readdir._names) == (3, 900)
    offset = begun(lister, large.ino)
    assert (len(lister.readdir), lister.readdir._names) == (1, 5000)
    assert len(lister.list(large.ino, start=offset)) == 5000
    assert (len(lister.readdir), lister.readdir._names) == (0, 0)


def test_an_error_of_the_directory_is_told(lister: Lister) -> None:
    class Broken(Memory):
        def entries(self) -> Listing:
            raise OSError(errno.EACCES, "no")

    ino = lister.know(Broken())
    for offset in (0, 5, 1 << 32 | 5):
        with pytest.raises(OSError, match="no"):
            lister.ask(ino, offset)
    assert len(lister.readdir) == 0


def test_a_directory_that_cannot_load_says_why(lister: Lister) -> None:
    class Broken(Late):
        async def load(self) -> None:
            raise OSError(errno.EACCES, "no")

    with pytest.raises(OSError, match="no"):
        lister.ask(lister.know(Broken({})))


def test_a_directory_is_loaded_once(lister: Lister) -> None:
    late = Late({b"x": MemoryFile()})
    assert names(lister.list(lister.know(late))) == [b".", b"..", b"x"]
    assert names(lister.list(late.ino)) == [b".", b"..", b"x"]
    assert late.loads == 1


async def test_a_directory_that_is_unsettled_is_waited_for(lister: Lister) -> None:
    late = Late({b"x": MemoryFile()}, rounds=3)
    lister.know(late)
    for loaded in (False, True):
        late.rounds, late.loaded = 3, loaded
        answer = lister.readdir.answer(late.ino, reading(0, BIG))
        assert isinstance(answer, Coroutine)
        with assert_checkpoints():
            entries = listed(bytes(await answer))
        assert names(entries) == [b".", b"..", b"x"]
        assert names(lister.ask(late.ino, 0)) == [b".", b"..", b"x"]


async def test_a_directory_that_never_settles_is_given_up(lister: Lister) -> None:
    answer = lister.readdir.answer(lister.know(Late({}, rounds=ROUNDS + 1)), reading(0, BIG))
    assert isinstance(answer, Coroutine)
    with pytest.raises(OSError, match="changing") as refused:
        await answer
    assert refused.value.errno == errno.EAGAIN


async def test_while_one_waits_others_are_answered(lister: Lister, place: Memory) -> None:
    ready = trio.Event()

    class Slow(Late):
        async def load(self) -> None:
            await ready.wait()
            await super().load()

    ino = lister.know(Slow({b"x": MemoryFile()}))
    replies: list[list[bytes]] = []

    async def ask() -> None:
        answer = lister.readdir.answer(ino, reading(0, BIG))
        assert isinstance(answer, Coroutine)
        replies.append(names(listed(bytes(await answer))))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert lister.watcher._busy == {ino: 2}
        assert len(lister.list(place.ino)) == 12
        ready.set()
    assert replies == [[b".", b"..", b"x"]] * 2
    assert lister.watcher._busy == {}


def test_a_directory_is_watched_from_its_first_listing(lister: Lister, tmp_path: str) -> None:
    watched = Memory(paths=[str(tmp_path)])
    lister.inodes._appeared = lister.watcher.appeared
    lister.know(watched)
    assert len(lister.watcher) == 0
    lister.list(watched.ino)
    assert len(lister.watcher) == 1
