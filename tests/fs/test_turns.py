"""The lock between who waits for requests; the waiting itself is in test_turns_waiting.py."""

import random

import pytest
import trio
from trio.testing import assert_no_checkpoints, wait_all_tasks_blocked

from rossfs.fs.turns import ReadLock

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
