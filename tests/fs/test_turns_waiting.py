"""Waiting for a request; the lock between who waits is in test_turns.py."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pyfuse3
import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

from rossfs.fs import turns
from rossfs.fs.turns import FAIR, ReadLock, _Lowlevel, _Trio
from rossfs.fs.wakefulness import Wakefulness

DEADLINE = 60.0


class Piped:
    """A device whose requests come through a pipe, a byte each: `FOR_PYFUSE3`, or `ANSWERED`."""

    FOR_PYFUSE3 = b"x"
    ANSWERED = b"a"

    def __init__(self) -> None:
        self.libfuse, self._writing = os.pipe()
        self.fd = -1
        self.pid = 0
        self.answered = 0
        self.backs = 0
        self.ahead: Callable[[], bool] = bool

    def connect(self, libfuse: int) -> None:
        assert self.fd < 0
        assert libfuse == self.libfuse
        self.fd = os.dup(libfuse)
        os.set_blocking(self.fd, False)

    def serve(self) -> bool | None:
        try:
            request = os.read(self.fd, 1)
        except BlockingIOError:
            return None
        if request == self.ANSWERED:
            self.answered += 1
            return False
        return True  # also what went wrong: libfuse finds out

    def waits(self) -> None:
        self.backs += 1

    def ask(self, requests: bytes) -> None:
        """Let these requests come."""
        os.write(self._writing, requests)

    def hang_up(self) -> None:
        """The kernel ends the connection."""
        os.close(self._writing)
        self._writing = -1

    def close(self) -> None:
        for fd in (self.libfuse, self._writing, self.fd):
            if fd >= 0:
                os.close(fd)


ANSWERED, FOR_PYFUSE3 = Piped.ANSWERED, Piped.FOR_PYFUSE3


@pytest.fixture
def device() -> Iterator[Piped]:
    with closing(Piped()) as device:
        yield device


@pytest.fixture
def told(device: Piped, monkeypatch: pytest.MonkeyPatch) -> _Trio:
    """What pyfuse3 finds under its name `trio`."""
    monkeypatch.setattr(pyfuse3, "trio", trio)
    turns.attach(device, Wakefulness(wanted=False))
    told = pyfuse3.trio  # type: ignore[attr-defined]
    assert isinstance(told, _Trio)
    return told


@pytest.fixture
def lowlevel(told: _Trio) -> _Lowlevel:
    return told.lowlevel


@asynccontextmanager
async def turns_of_others() -> AsyncIterator[Callable[[], int]]:
    """How many turns another task had, which never waits."""
    count = 0

    async def other() -> None:
        nonlocal count
        while True:
            await trio.lowlevel.checkpoint()
            count += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await trio.lowlevel.checkpoint()
        before = count
        yield lambda: count - before
        nursery.cancel_scope.cancel()


async def test_what_is_there_is_not_waited_for(lowlevel: _Lowlevel, device: Piped) -> None:
    device.ask(FOR_PYFUSE3 * FAIR)
    with assert_no_checkpoints():
        for _ in range(FAIR - 1):
            await lowlevel.wait_readable(device.libfuse)
    with assert_checkpoints():
        await lowlevel.wait_readable(device.libfuse)


async def test_what_is_answered_is_not_waited_for(lowlevel: _Lowlevel, device: Piped) -> None:
    device.ask(ANSWERED * (FAIR - 2) + FOR_PYFUSE3)
    with assert_no_checkpoints():
        await lowlevel.wait_readable(device.libfuse)
    assert device.answered == FAIR - 2


async def test_nobody_is_told_of_what_is_answered(lowlevel: _Lowlevel, device: Piped) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lowlevel.wait_readable, device.libfuse)
        for number in range(1, 2 * FAIR):
            await wait_all_tasks_blocked()
            assert nursery.child_tasks
            device.ask(ANSWERED)
            await wait_all_tasks_blocked()
            assert device.answered == number
        assert nursery.child_tasks
        device.ask(FOR_PYFUSE3)


async def test_libfuse_has_its_descriptor_back_before_anything_is_served(
    lowlevel: _Lowlevel, device: Piped, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    serve, back = device.serve, device.waits

    def serving() -> bool | None:
        order.append("serve")
        return serve()

    def backing() -> None:
        order.append("back")
        back()

    monkeypatch.setattr(device, "serve", serving)
    monkeypatch.setattr(device, "waits", backing)
    device.ask(FOR_PYFUSE3 * 3)
    for _ in range(3):
        await lowlevel.wait_readable(device.libfuse)
    assert order == ["back", "serve"] * 3


@pytest.mark.parametrize("requests", [FOR_PYFUSE3, ANSWERED * 3 + FOR_PYFUSE3])
async def test_other_tasks_go_on_under_constant_load(
    lowlevel: _Lowlevel, device: Piped, requests: bytes
) -> None:
    rounds = 20
    async with turns_of_others() as turns_had:
        for _ in range(rounds * FAIR // len(requests)):
            device.ask(requests)
            await lowlevel.wait_readable(device.libfuse)
        assert turns_had() >= rounds - 1  # trio takes those who are ready in any order


async def test_other_tasks_go_on_while_all_is_answered(lowlevel: _Lowlevel, device: Piped) -> None:
    rounds = 20
    device.ask(ANSWERED * (rounds * FAIR) + FOR_PYFUSE3)
    async with turns_of_others() as turns_had:
        await lowlevel.wait_readable(device.libfuse)
        assert device.answered == rounds * FAIR
        assert turns_had() >= rounds - 1


async def test_a_hang_up_is_told_too(lowlevel: _Lowlevel, device: Piped) -> None:
    device.hang_up()
    with assert_no_checkpoints():
        await lowlevel.wait_readable(device.libfuse)


async def test_a_hang_up_wakes_who_sleeps(lowlevel: _Lowlevel, device: Piped) -> None:
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lowlevel.wait_readable, device.libfuse)
            await wait_all_tasks_blocked()
            device.ask(ANSWERED)
            device.hang_up()
    assert device.answered == 1


async def test_closing_wakes_who_waits(lowlevel: _Lowlevel, device: Piped) -> None:
    woken = 0

    async def wait() -> None:
        nonlocal woken
        with pytest.raises(trio.ClosedResourceError):
            await lowlevel.wait_readable(device.libfuse)
        woken += 1

    lowlevel.notify_closing(device.libfuse)  # nobody waits yet
    with trio.fail_after(DEADLINE):
        for number in range(1, 3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await wait_all_tasks_blocked()
                lowlevel.notify_closing(device.libfuse)
            assert woken == number


async def test_what_is_not_there_is_waited_for(lowlevel: _Lowlevel, device: Piped) -> None:
    for _ in range(2 * FAIR + 1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lowlevel.wait_readable, device.libfuse)
            await wait_all_tasks_blocked()
            assert nursery.child_tasks
            device.ask(FOR_PYFUSE3)


async def test_waiting_can_be_cancelled_and_begun_again(lowlevel: _Lowlevel, device: Piped) -> None:
    for _ in range(3):
        with trio.move_on_after(0.01) as given_up:
            await lowlevel.wait_readable(device.libfuse)
        assert given_up.cancelled_caught
    device.ask(FOR_PYFUSE3)
    await lowlevel.wait_readable(device.libfuse)


async def test_who_waited_runs_where_it_ran_before(lowlevel: _Lowlevel, device: Piped) -> None:
    before = os.sched_getaffinity(0)
    device.pid = os.getpid()
    device.ask(ANSWERED * (FAIR - 2) + FOR_PYFUSE3)
    await lowlevel.wait_readable(device.libfuse)
    assert os.sched_getaffinity(0) == before
    with trio.move_on_after(0.01):
        await lowlevel.wait_readable(device.libfuse)
    assert os.sched_getaffinity(0) == before


async def _rush(lowlevel: _Lowlevel, device: Piped) -> None:
    """Let a request come to one who sleeps: the next may follow at once."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lowlevel.wait_readable, device.libfuse)
        await wait_all_tasks_blocked()
        device.ask(FOR_PYFUSE3)


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


@pytest.mark.parametrize("requests", [FOR_PYFUSE3, ANSWERED + FOR_PYFUSE3])
async def test_in_a_rush_the_next_request_is_awaited_without_sleeping(
    lowlevel: _Lowlevel, device: Piped, monkeypatch: pytest.MonkeyPatch, requests: bytes
) -> None:
    for name in ("SPIN", "BRIEF", "BUSY", "TAKEN"):
        monkeypatch.setattr(turns, name, DEADLINE)
    await _rush(lowlevel, device)
    thread = threading.Timer(0.02, device.ask, (requests,))
    thread.start()
    with assert_no_checkpoints():
        await lowlevel.wait_readable(device.libfuse)
    thread.join()


async def test_who_waited_in_vain_sleeps_and_is_woken(
    lowlevel: _Lowlevel, device: Piped, monkeypatch: pytest.MonkeyPatch, questions: Questions
) -> None:
    monkeypatch.setattr(turns, "BUSY", DEADLINE)
    monkeypatch.setattr(turns, "TAKEN", DEADLINE)
    await _rush(lowlevel, device)
    asked = questions.count
    for _ in range(3):
        await _rush(lowlevel, device)
        assert questions.count > asked
        asked = questions.count


async def test_without_a_rush_nobody_asks_again(
    lowlevel: _Lowlevel, device: Piped, monkeypatch: pytest.MonkeyPatch, questions: Questions
) -> None:
    monkeypatch.setattr(turns, "BUSY", 0.0)
    for _ in range(3):
        await _rush(lowlevel, device)
    assert questions.count == 0


async def test_where_others_want_the_processor_nobody_asks_again(
    lowlevel: _Lowlevel, device: Piped, monkeypatch: pytest.MonkeyPatch, questions: Questions
) -> None:
    monkeypatch.setattr(turns, "BUSY", DEADLINE)
    monkeypatch.setattr(turns, "SPIN", DEADLINE)
    monkeypatch.setattr(turns, "BRIEF", DEADLINE)
    monkeypatch.setattr(turns, "CROWDED", DEADLINE)
    monkeypatch.setattr(turns, "TAKEN", -1.0)
    await _rush(lowlevel, device)
    for _ in range(3):
        await _rush(lowlevel, device)
    assert questions.count == 1


async def test_in_a_rush_what_may_come_is_prepared(
    lowlevel: _Lowlevel, device: Piped, monkeypatch: pytest.MonkeyPatch, questions: Questions
) -> None:
    """It takes the processor, which does not mean that somebody else wants it."""
    for name in ("SPIN", "BRIEF", "BUSY"):
        monkeypatch.setattr(turns, name, DEADLINE)
    monkeypatch.setattr(turns, "TAKEN", -1.0)
    await _rush(lowlevel, device)
    steps = 0

    def prepare() -> bool:
        nonlocal steps
        steps += 1
        if steps == 50:
            device.ask(FOR_PYFUSE3)
        return True

    monkeypatch.setattr(device, "ahead", prepare)
    asked = questions.count
    with assert_no_checkpoints():
        await lowlevel.wait_readable(device.libfuse)
    assert (steps, questions.count) == (50, asked)


@pytest.mark.parametrize("requests", range(FAIR - 3, FAIR + 4))
@pytest.mark.parametrize("last", [ANSWERED, FOR_PYFUSE3])
async def test_processors_may_sleep_after_a_rush_of_any_length(
    device: Piped, tmp_path: Path, requests: int, last: bytes
) -> None:
    latency = tmp_path / "latency"
    latency.touch()
    with closing(Wakefulness(device=str(latency))) as wakefulness:
        lowlevel = _Trio(device, wakefulness).lowlevel
        await _rush(lowlevel, device)
        device.ask(ANSWERED * (requests - 1) + last)
        taken = 0

        async def take() -> None:
            nonlocal taken
            while True:
                await lowlevel.wait_readable(device.libfuse)
                taken += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert taken == (last == FOR_PYFUSE3)
    asked = [microseconds for (microseconds,) in struct.iter_unpack("=i", latency.read_bytes())]
    assert asked == [0, -1]


async def test_the_rest_is_trio(told: _Trio, lowlevel: _Lowlevel) -> None:
    assert lowlevel.current_task() is trio.lowlevel.current_task()  # type: ignore[operator]
    assert told.open_nursery is trio.open_nursery
    assert told.Cancelled is trio.Cancelled
    assert told.lowlevel.spawn_system_task is trio.lowlevel.spawn_system_task


def test_pyfuse3_is_told(told: _Trio) -> None:
    assert told.Lock is ReadLock
    assert isinstance(told.lowlevel, _Lowlevel)
