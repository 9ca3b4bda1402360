"""Watchers for tests: over directories in memory, with what they tell the kernel in a list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import ClassVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rossfs.fs.notify import Watcher
from rossfs.tree.node import FOREVER, Directory
from tests.fs.memory import Memory

Told = list[tuple[int, bytes]]

DEADLINE = 20.0


class Place(Memory):
    """A directory of the mount whose names may be cached."""

    ttl: ClassVar[float] = 1.0


class Digests(Place):
    """A directory in which a name means one content for ever."""

    replaces: ClassVar[bool] = False


class Closed(Place):
    """A directory whose absent names are cached."""

    negative_ttl: ClassVar[float] = FOREVER


class Suffixed(Place):
    """A directory that shows `name` when `name.json` changes."""

    def shown_as(self, name: bytes) -> Sequence[bytes]:
        return (name.removesuffix(b".json"),) if name.endswith(b".json") else ()


@pytest.fixture
def told() -> Told:
    """What the kernel was told to forget: (directory, name)."""
    return []


@pytest.fixture
def watcher(told: Told) -> Iterator[Watcher]:
    """A watcher that is not running yet."""
    root = Memory(
        {b"tags": Place(ino=10), b"blobs": Digests(ino=11), b"incoming": Memory(ino=12)}, ino=1
    )
    with closing(Watcher(root, lambda parent, name: told.append((parent, name)))) as watcher:
        yield watcher


@asynccontextmanager
async def running(watcher: Watcher) -> AsyncIterator[None]:
    """The watcher runs while this lasts."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        await wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


async def becomes(condition: Callable[[], bool]) -> None:
    """Wait until *condition* holds: what is read from inotify sets no event."""
    with trio.fail_after(DEADLINE):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.001)


async def until(told: Told, *expected: tuple[int, bytes]) -> None:
    """Wait until the kernel was told all of *expected* and nothing else."""
    await becomes(lambda: set(told) >= set(expected))
    assert set(told) == set(expected)
    told.clear()


def watched(watcher: Watcher, directory: Directory) -> Directory:
    """*directory*, which the kernel knows and has asked."""
    watcher.appeared(directory)
    watcher.watch(directory)
    return directory
