"""Waiting for the kernel's next request, with as few turns of the scheduler as possible.

pyfuse3 takes what it waits with from its name `trio`, which pyfuse3.asyncio replaces in the same
way.  `attach` replaces two things there, and leaves the rest to trio:

 - the lock between the tasks that wait for a request.  trio's is handed on at each release, so that
   with two tasks each request costs two turns of the scheduler; `ReadLock` stays with who comes
   back before anybody else runs.
 - waiting for the descriptor: that is over when there is a request that the device (device.py) does
   not answer itself.  After a request the next one usually follows at once, so for `SPIN` seconds
   the descriptor is asked again and again: to be woken costs more than the request itself where
   processors sleep (virtual machines above all).  sched_yield(2) gives the processor to whoever
   wants it meanwhile; when somebody took it, nothing is gained, and who does not sleep is served
   last by the scheduler: then, for `CROWDED` seconds, it sleeps in select(2) instead, for `NAP` at
   most, for nothing else happens in this thread meanwhile.

Every `FAIR` requests the scheduler has its turn whatever is waiting, so that other tasks go on
under any load.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Protocol

import pyfuse3
import trio
import trio.lowlevel

from rossfs.fs.wakefulness import Wakefulness

SPIN = 400e-6
"""Seconds that the next request is awaited without sleeping: what a program does with the names of
a directory takes a quarter of it."""

BRIEF = 100e-6
"""The same after a request that was for pyfuse3: a thread may be at work for it, which needs the
interpreter, too."""

BUSY = 1e-3
"""Seconds since the last request within which there is a rush: only then it is worth it."""

TAKEN = 500e-6
"""Seconds between two questions from which on somebody else must have had the processor."""

CROWDED = 50e-3

NAP = 200e-6
"""Seconds; about what two hand-overs to a worker thread cost."""

_SELECTABLE = 1024  # FD_SETSIZE of select(2)

FAIR = 128
"""Requests served in a row without a turn of the scheduler: some milliseconds."""


class _Done:
    """Awaiting this passes no checkpoint."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_DONE = _Done()


class ReadLock:
    """Which task waits for the next request.  Not fair, on purpose."""

    __slots__ = ("_taken", "_waiting", "_waking")

    def __init__(self) -> None:
        self._taken = False
        self._waiting: deque[trio.lowlevel.Task] = deque()
        self._waking = False
        """A waiting task was woken and has not run yet: it looks whether the lock is free then."""

    def __aenter__(self) -> Awaitable[None]:
        if self._taken:
            return self._wait()
        self._taken = True
        return _DONE

    async def _wait(self) -> None:
        task = trio.lowlevel.current_task()

        def give_up(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._waiting.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        while self._taken:
            self._waiting.append(task)
            await trio.lowlevel.wait_task_rescheduled(give_up)
            self._waking = False
        self._taken = True

    def __aexit__(self, *_: object) -> Awaitable[None]:
        self._taken = False
        if self._waiting and not self._waking:
            self._waking = True
            trio.lowlevel.reschedule(self._waiting.popleft())
        return _DONE


class Served(Protocol):
    """Where requests come from: Device, but for tests."""

    fd: int
    """What can be read when there is one; negative until `connect`."""

    ahead: Callable[[], bool]
    """Does a little of what may be asked for next; whether there was any."""

    def connect(self, libfuse: int) -> None:
        """Begin, with the descriptor that libfuse has."""

    def serve(self) -> bool | None:
        """Take a request; whether it is for pyfuse3.  None: there is none."""

    def waits(self) -> None:
        """pyfuse3 has what it was told of."""


class _Lowlevel:
    """trio.lowlevel, but for how requests are awaited."""

    def __init__(self, device: Served, wakefulness: Wakefulness) -> None:
        self._device = device
        self._poll = select.poll()
        self._wakefulness = wakefulness
        self._left = FAIR
        self._last = 0.0
        self._spin = SPIN
        self._crowded = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(trio.lowlevel, name)

    def notify_closing(self, fd: int) -> None:
        """As trio's: who waits for a request waits no more."""
        trio.lowlevel.notify_closing(self._device.fd if self._device.fd >= 0 else fd)

    def wait_readable(self, fd: int) -> Awaitable[None]:
        """Wait until there is a request for pyfuse3; without a checkpoint if it is there already,
        or within a moment."""
        device = self._device
        if device.fd < 0:
            device.connect(fd)
            self._poll.register(device.fd, select.POLLIN)
        device.waits()
        self._left -= 1
        return _DONE if self._left > 0 and self._rush() else self._sleep()

    async def _sleep(self) -> None:
        while True:
            if self._left <= 0:
                self._goes_on(time.monotonic())  # who sleeps for others has not seen a pause
            await trio.lowlevel.wait_readable(self._device.fd)
            self._left = FAIR
            self._last = time.monotonic()
            if self._rush():
                return

    def _rush(self) -> bool:
        """Serve what is there and what comes in a moment; whether one is for pyfuse3."""
        serve, served, give_way = self._device.serve, self._wakefulness.served, os.sched_yield
        while True:
            some = False
            while (passed_on := serve()) is not None:
                some = True
                served()
                if passed_on:
                    break
                self._left -= 1
                if self._left <= 0:
                    self._last = time.monotonic()
                    return False
                give_way()  # to who waits for the answer, and will ask the next thing
            now = time.monotonic()
            if some:
                self._last = now
                self._spin = BRIEF if passed_on else SPIN
                if passed_on:
                    return True
            if not self._goes_on(now):
                return False

    def _goes_on(self, now: float) -> bool:
        """Whether this is a rush, and there is a request within a moment; otherwise a pause."""
        if now - self._last < BUSY and self._comes(now):
            return True
        self._wakefulness.pause()
        return False

    def _comes(self, now: float) -> bool:
        """Whether there is a request within a moment."""
        if now < self._crowded:
            fd = self._device.fd
            return fd < _SELECTABLE and bool(select.select((fd,), (), (), NAP)[0])
        ready, clock, ahead = self._poll.poll, time.monotonic, self._device.ahead
        end = now + self._spin
        while now < end:
            worked = ahead()
            if not worked:
                os.sched_yield()
            if ready(0):
                return True
            before = now
            now = clock()
            if now - before > TAKEN and not worked:
                self._crowded = now + CROWDED
                break
        return False


class _Trio:
    """What pyfuse3 finds under its name `trio`."""

    Lock = ReadLock

    def __init__(self, device: Served, wakefulness: Wakefulness) -> None:
        self.lowlevel = _Lowlevel(device, wakefulness)

    def __getattr__(self, name: str) -> object:
        return getattr(trio, name)


def attach(device: Served, wakefulness: Wakefulness) -> None:
    """Let pyfuse3 wait for *device* this way from now on; before pyfuse3.main()."""
    pyfuse3.trio = _Trio(device, wakefulness)  # type: ignore[attr-defined]  # its stub does not tell of it
