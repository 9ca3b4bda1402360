import os
import random
import threading
from collections.abc import Iterator

import pyfuse3
import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

from rossfs.fs import turns
from rossfs.fs.turns import FAIR, ReadLock, _Lowlevel, _Trio

DEADLINE = 60.0


class Watched:
    """A lock that says who has it, and fails if two have."""

    def __init__(self) -> None:
        self.lock = ReadLock()
        self.holder = ""
        self.order: list[str] = []

    async def use(self, name: str, inside: int = 0) -> None:
        """Take it, pass *inside* checkpoints, and let it go."""
        async with self.lock:
            assert self.holder == ""
            self.holder = name
            self.order.append(name)
            try:
                for _ in range(inside):
                    await trio.lowlevel.checkpoint()
                    assert self.holder == name
            finally:
                self.holder = ""


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_a_free_lock_is_taken_at_once(watched: Watched) -> None:
    with assert_no_checkpoints():
        for _ in range(3):
            await watched.use("a")


async def test_who_comes_back_first_has_it_again(watched: Watched) -> None:
    async with trio.open_nursery() as nursery:
        async with watched.lock:
            nursery.start_soon(watched.use, "waiting")
            await wait_all_tasks_blocked()
        with assert_no_checkpoints():
            for _ in range(10):
                await watched.use("again")
    assert watched.order == ["again"] * 10 + ["waiting"]


async def test_who_waits_has_it_when_the_holder_waits_for_something_else(
    watched: Watched,
) -> None:
    async with trio.open_nursery() as nursery:
        async with watched.lock:
            for number in range(3):
                nursery.start_soon(watched.use, f"{number}", 2)
                await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert sorted(watched.order) == ["0", "1", "2"]


async def test_who_was_woken_for_nothing_waits_again(watched: Watched) -> None:
    async with trio.open_nursery() as nursery:
        async with watched.lock:
            nursery.start_soon(watched.use, "waiting")
            await wait_all_tasks_blocked()
        async with watched.lock:  # the other one is woken, and finds it taken
            await wait_all_tasks_blocked()
            assert watched.order == []
        await wait_all_tasks_blocked()
        assert watched.order == ["waiting"]


async def test_who_fails_lets_it_go(watched: Watched) -> None:
    with pytest.raises(ValueError, match="inside"):
        async with watched.lock:
            raise ValueError("inside")
    with assert_no_checkpoints():
        await watched.use("next")


async def test_who_gives_up_waits_no_more(watched: Watched) -> None:
    async with trio.open_nursery() as nursery, watched.lock:
        with trio.move_on_after(0.01) as given_up:
            await watched.use("gives up")
        assert given_up.cancelled_caught
        nursery.start_soon(watched.use, "stays")
        await wait_all_tasks_blocked()
    assert watched.order == ["stays"]


async def test_who_is_cancelled_while_woken_wakes_the_next(watched: Watched) -> None:
    cancelled = trio.CancelScope()

    async def unlucky() -> None:
        with cancelled:
            await watched.use("unlucky", 1)

    async with trio.open_nursery() as nursery:
        async with watched.lock:
            nursery.start_soon(unlucky)
            await wait_all_tasks_blocked()
            nursery.start_soon(watched.use, "next")
            await wait_all_tasks_blocked()
        cancelled.cancel()
    assert watched.order == ["unlucky", "next"]


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_many_tasks_do_one_has_it_and_all_get_it(
    watched: Watched, seed: int
) -> None:
    chance = random.Random(seed)
    done = [0] * 20

    async def work(number: int) -> None:
        while done[number] < 40:
            with trio.move_on_after(chance.choice([0, 0.0001, DEADLINE])):
                await watched.use(f"{number}", chance.choice([0, 0, 1, 3]))
                done[number] += 1
            if chance.random() < 0.5:
                await trio.lowlevel.checkpoint()

    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery:
            for number in range(len(done)):
                nursery.start_soon(work, number)
    assert done == [40] * 20
    with assert_no_checkpoints():
        await watched.use("nobody is left")


# Waiting for a descriptor


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def lowlevel() -> _Lowlevel:
    return _Lowlevel()


async def test_what_is_there_is_not_waited_for(lowlevel: _Lowlevel, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"x")
    with assert_no_checkpoints():
        for _ in range(FAIR - 1):
            await lowlevel.wait_readable(reading)
    with assert_checkpoints():
        await lowlevel.wait_readable(reading)


async def test_other_tasks_go_on_under_constant_load(
    lowlevel: _Lowlevel, pipe: tuple[int, int]
) -> None:
    reading, writing = pipe
    os.write(writing, b"x")
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            await trio.lowlevel.checkpoint()
            others += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await trio.lowlevel.checkpoint()
        others = 0
        for _ in range(20 * FAIR):
            await lowlevel.wait_readable(reading)
        assert others >= 20 - 1  # trio takes those who are ready in any order
        nursery.cancel_scope.cancel()


async def test_a_hang_up_is_told_too(lowlevel: _Lowlevel) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with assert_no_checkpoints():
        await lowlevel.wait_readable(reading)
    os.close(reading)


async def test_what_is_not_there_is_waited_for(lowlevel: _Lowlevel, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    for _ in range(2 * FAIR + 1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lowlevel.wait_readable, reading)
            await wait_all_tasks_blocked()
            assert nursery.child_tasks
            os.write(writing, b"x")
        assert os.read(reading, 10) == b"x"


async def test_waiting_can_be_cancelled_and_begun_again(
    lowlevel: _Lowlevel, pipe: tuple[int, int]
) -> None:
    reading, writing = pipe
    for _ in range(3):
        with trio.move_on_after(0.01) as given_up:
            await lowlevel.wait_readable(reading)
        assert given_up.cancelled_caught
    os.write(writing, b"x")
    await lowlevel.wait_readable(reading)


async def _rush(lowlevel: _Lowlevel, pipe: tuple[int, int]) -> None:
    """Let a request come to one who sleeps: the next may follow at once."""
    reading, writing = pipe
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lowlevel.wait_readable, reading)
        await wait_all_tasks_blocked()
        os.write(writing, b"x")
    os.read(reading, 10)


class Questions:
    """How often the processor was offered to others."""

    count = 0


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> Questions:
    counted = Questions()
    give = os.sched_yield

    def counting() -> None:
        counted.count += 1
        give()

    monkeypatch.setattr(os, "sched_yield", counting)
    return counted


async def test_in_a_rush_the_next_request_is_awaited_without_sleeping(
    lowlevel: _Lowlevel, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SPIN", "BUSY", "TAKEN"):
        monkeypatch.setattr(turns, name, DEADLINE)
    await _rush(lowlevel, pipe)
    thread = threading.Timer(0.02, os.write, (pipe[1], b"x"))
    thread.start()
    with assert_no_checkpoints():
        await lowlevel.wait_readable(pipe[0])
    thread.join()
    assert os.read(pipe[0], 10) == b"x"


async def test_who_waited_in_vain_sleeps_and_is_woken(
    lowlevel: _Lowlevel,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    questions: Questions,
) -> None:
    monkeypatch.setattr(turns, "BUSY", DEADLINE)
    monkeypatch.setattr(turns, "TAKEN", DEADLINE)
    await _rush(lowlevel, pipe)
    asked = questions.count
    for _ in range(3):
        await _rush(lowlevel, pipe)
        assert questions.count > asked
        asked = questions.count


async def test_without_a_rush_nobody_asks_again(
    lowlevel: _Lowlevel,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    questions: Questions,
) -> None:
    monkeypatch.setattr(turns, "BUSY", 0.0)
    for _ in range(3):
        await _rush(lowlevel, pipe)
    assert questions.count == 0


async def test_where_others_want_the_processor_nobody_asks_again(
    lowlevel: _Lowlevel,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    questions: Questions,
) -> None:
    monkeypatch.setattr(turns, "BUSY", DEADLINE)
    monkeypatch.setattr(turns, "SPIN", DEADLINE)
    monkeypatch.setattr(turns, "CROWDED", DEADLINE)
    monkeypatch.setattr(turns, "TAKEN", -1.0)
    await _rush(lowlevel, pipe)
    for _ in range(3):
        await _rush(lowlevel, pipe)
    assert questions.count == 1


async def test_the_rest_is_trio(lowlevel: _Lowlevel) -> None:
    assert lowlevel.current_task() is trio.lowlevel.current_task()  # type: ignore[operator]
    ours = _Trio()
    assert ours.open_nursery is trio.open_nursery
    assert ours.Cancelled is trio.Cancelled
    assert ours.lowlevel.spawn_system_task is trio.lowlevel.spawn_system_task


def test_pyfuse3_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyfuse3, "trio", trio)
    turns.attach()
    told = pyfuse3.trio  # type: ignore[attr-defined]
    assert told.Lock is ReadLock
    assert isinstance(told.lowlevel, _Lowlevel)
