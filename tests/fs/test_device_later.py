"""Answers that have to be waited for, and who gives up meanwhile."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from pyfuse3 import FUSEError
from trio.testing import wait_all_tasks_blocked

from rossfs.fs import device, wire
from rossfs.fs.ending import asked_to_end
from tests.fs.connection import Place, answer, request

EINTR = -errno.EINTR

MKDIR = 9


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.ready: dict[int, trio.Event] = {}
        self.cancelled: list[int] = []
        self.error: Exception | None = None

    def __call__(self, ino: int, body: memoryview) -> Coroutine[None, None, bytes]:
        return self._answer(ino)

    async def _answer(self, ino: int) -> bytes:
        self.ready[ino] = trio.Event()
        try:
            await self.ready[ino].wait()
        except trio.Cancelled:
            self.cancelled.append(ino)
            raise
        if self.error is not None:
            raise self.error
        return b"answer %d" % ino


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def place(slow: Slow) -> Iterator[Place]:
    place = Place({wire.READDIRPLUS: slow, wire.LOOKUP: lambda _ino, _body: b"at once"})
    yield place
    place.close()


@pytest.fixture(autouse=True)
def everybody_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "asked_to_end", lambda _pid: True)


@asynccontextmanager
async def serving(place: Place) -> AsyncIterator[trio.Nursery]:
    """What is answered later is, as long as this lasts."""
    async with trio.open_nursery() as nursery:
        place.device.answer_in(nursery)
        yield nursery
        nursery.cancel_scope.cancel()


def listing(number: int) -> bytes:
    return request(wire.READDIRPLUS, bytes(40), ino=number, unique=2 * number)


def gives_up(number: int) -> bytes:
    return request(wire.INTERRUPT, wire.HANDLE.pack(2 * number), ino=0, unique=2 * number + 1)


async def test_an_answer_is_sent_when_it_is_there(place: Place, slow: Slow) -> None:
    async with serving(place):
        for number in (1, 2):
            assert place.ask(listing(number)) is False
        await wait_all_tasks_blocked()
        assert place.heard() is None
        assert place.ask(request(wire.LOOKUP, b"x\0")) is False
        assert place.heard() == answer(b"at once")
        for number in (2, 1):
            slow.ready[number].set()
            await wait_all_tasks_blocked()
            assert place.heard() == answer(b"answer %d" % number, unique=2 * number)
        assert place.device._awaited == {}


@pytest.mark.parametrize("before", [False, True])
async def test_who_gives_up_is_answered_and_nobody_else(
    place: Place, slow: Slow, before: bool
) -> None:
    """Also before the task had its first turn."""
    async with serving(place):
        for number in (1, 2, 3):
            place.ask(listing(number))
        if not before:
            await wait_all_tasks_blocked()
        assert place.ask(gives_up(2)) is False
        await wait_all_tasks_blocked()
        assert place.heard() == answer(error=EINTR, unique=4)
        assert place.heard() is None
        assert slow.cancelled == [2]
        for number in (1, 3):
            slow.ready[number].set()
            await wait_all_tasks_blocked()
            assert place.heard() == answer(b"answer %d" % number, unique=2 * number)


async def test_who_gives_up_too_late_has_his_answer(place: Place, slow: Slow) -> None:
    async with serving(place):
        place.ask(listing(1))
        await wait_all_tasks_blocked()
        slow.ready[1].set()
        await wait_all_tasks_blocked()
        assert place.heard() == answer(b"answer 1", unique=2)
        for number in (1, 7):  # answered, and never asked
            assert place.ask(gives_up(number)) is False
        await wait_all_tasks_blocked()
        assert place.heard() is None
        assert slow.cancelled == []


async def test_a_signal_that_does_not_end_the_program_changes_nothing(
    place: Place, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ask(pid: int) -> bool:
        asked.append(pid)
        return False

    monkeypatch.setattr(device, "asked_to_end", ask)
    async with serving(place):
        place.ask(listing(1))
        await wait_all_tasks_blocked()
        place.ask(gives_up(1))
        slow.ready[1].set()
        await wait_all_tasks_blocked()
        assert place.heard() == answer(b"answer 1", unique=2)
        assert asked == [os.getpid()]


async def test_who_took_another_signal_before_can_still_be_ended(
    place: Place, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells of one signal only."""
    monkeypatch.setattr(device, "WATCH", 0.01)
    ends: list[bool] = [False, False, False, True]
    monkeypatch.setattr(device, "asked_to_end", lambda _pid: ends.pop(0))
    async with serving(place):
        place.ask(listing(1))
        place.ask(listing(2))
        await wait_all_tasks_blocked()
        place.ask(gives_up(1))
        heard = None
        for _ in range(1000):
            heard = heard or place.heard()
            if heard is not None:
                break
            await trio.sleep(0.01)
        assert heard == answer(error=EINTR, unique=2)
        assert (ends, slow.cancelled) == ([], [1])
        slow.ready[2].set()
        await wait_all_tasks_blocked()
        assert place.heard() == answer(b"answer 2", unique=4)


async def test_nobody_is_watched_once_he_has_his_answer(
    place: Place, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "WATCH", 0.01)
    monkeypatch.setattr(device, "asked_to_end", lambda _pid: False)
    async with serving(place) as nursery:
        place.ask(listing(1))
        await wait_all_tasks_blocked()
        place.ask(gives_up(1))
        slow.ready[1].set()
        for _ in range(1000):
            if nursery.child_tasks:
                await trio.sleep(0.01)
        assert not nursery.child_tasks
        assert place.heard() == answer(b"answer 1", unique=2)


@pytest.mark.parametrize("error", [OSError(errno.ESTALE, "gone"), RuntimeError("bug")])
async def test_what_is_raised_later_is_answered(
    place: Place, slow: Slow, error: Exception, expects_warnings: list[object]
) -> None:
    slow.error = error
    async with serving(place):
        place.ask(listing(1))
        await wait_all_tasks_blocked()
        slow.ready[1].set()
        await wait_all_tasks_blocked()
        number = error.errno if isinstance(error, OSError) else errno.EIO
        assert number is not None
        assert place.heard() == answer(error=-number, unique=2)
        assert place.device._awaited == {}
        slow.error = None
        place.ask(listing(2))
        await wait_all_tasks_blocked()
        slow.ready[2].set()
        await wait_all_tasks_blocked()
        assert place.heard() == answer(b"answer 2", unique=4)
    assert len(expects_warnings) == (0 if isinstance(error, OSError) else 1)


async def test_at_the_end_of_the_connection_nobody_waits(place: Place, slow: Slow) -> None:
    async with serving(place) as nursery:
        for number in (1, 2):
            place.ask(listing(number))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sorted(slow.cancelled) == [1, 2]
    assert place.heard() is None
    assert place.device._awaited == {}


async def test_an_answer_that_nobody_takes_ends_nothing(
    place: Place, slow: Slow, expects_warnings: list[object]
) -> None:
    async with serving(place):
        place.ask(listing(1))
        await wait_all_tasks_blocked()
        place.kernel.close()
        slow.ready[1].set()
        await wait_all_tasks_blocked()
        assert place.device._awaited == {}
    assert len(expects_warnings) == 1


# Whether a signal asks a program to end


@pytest.mark.parametrize(
    ("number", "ends"),
    [
        (signal.SIGINT, True),
        (signal.SIGTERM, True),
        (signal.SIGHUP, True),
        (signal.SIGQUIT, True),
        (signal.SIGWINCH, False),
        (signal.SIGCHLD, False),
        (signal.SIGUSR1, False),
    ],
)
def test_signals_that_ask_a_program_to_end(number: signal.Signals, ends: bool) -> None:
    """A program that is stopped takes none, as one that waits for us."""
    script = "trap : HUP INT QUIT TERM USR1 CHLD WINCH; echo ready; read line"
    # Signals that were ignored when a shell started cannot be trapped.
    command = ["env", "--default-signal", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == b"ready\n"
            program.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, program.pid, os.WSTOPPED)
            assert not asked_to_end(program.pid)
            program.send_signal(number)
            assert asked_to_end(program.pid) == ends
        finally:
            program.kill()
    assert asked_to_end(program.pid)  # nobody can tell
    assert asked_to_end(0)


# Handlers of pyfuse3


class Handled:
    """Handlers that wait to be told."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.told = trio.Event()

    async def lookup(self, *arguments: object) -> str:
        self.asked.append(arguments)
        await self.told.wait()
        return "found"

    open = mkdir = lookup


@pytest.mark.parametrize(
    ("name", "asked", "patient"),
    [
        ("lookup", request(MKDIR, b"", unique=6), True),
        ("open", request(wire.OPEN, wire.FLAGS.pack(os.O_RDONLY), unique=6), True),
        ("open", request(wire.OPEN, wire.FLAGS.pack(os.O_RDWR), unique=6), False),
        ("mkdir", request(MKDIR, b"", unique=6), False),
    ],
)
async def test_who_gives_up_while_a_handler_waits(name: str, asked: bytes, patient: bool) -> None:
    place = Place({})
    try:
        handled = Handled()
        assert place.ask(asked) is True
        handler = getattr(device.Handlers(handled, place.device), name)
        ended: list[object] = []

        async def ask() -> None:
            try:
                ended.append(await handler(1, 2))
            except FUSEError as error:
                ended.append(error.errno)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            assert handled.asked == [(1, 2)]
            place.ask(gives_up(3))
            await wait_all_tasks_blocked()
            assert ended == ([errno.EINTR] if patient else [])
            handled.told.set()
        assert ended == ([errno.EINTR] if patient else ["found"])
        assert place.device._awaited == {}
    finally:
        place.close()
